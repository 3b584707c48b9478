"""Quantization: applied to a model, calibrated, cached, written as a checkpoint."""
