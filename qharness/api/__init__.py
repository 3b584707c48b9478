"""The hooks, and by kind what a plugin must have and may have."""
