"""Takes code out of a model's answer."""
