"""Quantization noise, layer by layer, and how it accumulates with depth (Wei et al. 2023, II.C and figure 6)."""

from qharness.noise.noise_measurement import NoiseInputs, measure_noise
from qharness.noise.noise_output import check_output, write_noise

__all__ = ["NoiseInputs", "check_output", "measure_noise", "write_noise"]
