"""Quantization noise, layer by layer, and how it accumulates with depth (Wei et al. 2023, II.C and figure 6)."""
