"""The hooks, and the protocols of what plugins offer, by kind. Nothing here imports torch, transformers or lm-eval."""
