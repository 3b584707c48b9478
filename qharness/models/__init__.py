"""Models: loading, their blocks, sampling, generation, and the class lm-eval knows as `qharness`."""

from qharness.models.blocks import block_linears, find_blocks, replace_module
from qharness.models.loading import LoadedModel, load_model, quantize, quantize_loaded

__all__ = [
    "LoadedModel",
    "block_linears",
    "find_blocks",
    "load_model",
    "quantize",
    "quantize_loaded",
    "replace_module",
]
