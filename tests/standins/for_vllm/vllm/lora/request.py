class LoRARequest:
    """Adapters, of which none are used here."""
