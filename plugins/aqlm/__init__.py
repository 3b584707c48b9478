"""AQLM, additive quantization (Egiazarian et al. 2024): to 8, 4, 3 or 2 bits a weight, and checkpoints of it."""
