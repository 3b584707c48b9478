"""Models: loading, their blocks, sampling, generation, and the class lm-eval knows as `qharness`."""

from qharness.models.blocks import block_linears, find_blocks, head_linear, replace_module
from qharness.models.exporting import Export, Exported, export_checkpoint, unpack_checkpoint
from qharness.models.footprint import footprint
from qharness.models.inputs import ModelInputs, model_inputs
from qharness.models.lazy_weight import LazyWeight
from qharness.models.loading import LoadedModel, load_model
from qharness.models.quantization import quantize, quantize_loaded

__all__ = [
    "Export",
    "Exported",
    "LazyWeight",
    "LoadedModel",
    "ModelInputs",
    "block_linears",
    "export_checkpoint",
    "find_blocks",
    "footprint",
    "head_linear",
    "load_model",
    "model_inputs",
    "quantize",
    "quantize_loaded",
    "replace_module",
    "unpack_checkpoint",
]
