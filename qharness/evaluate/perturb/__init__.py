"""Tasks whose prompts' prose is perturbed."""
