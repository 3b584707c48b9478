def resolve_chat_template(*args: object, **kwargs: object) -> None:
    """No chat template."""
