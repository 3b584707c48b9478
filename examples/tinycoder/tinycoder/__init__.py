"""Programming problems made by composition, and the small code model that is trained on them."""
