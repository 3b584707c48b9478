"""Checkpoints of int8 models: safetensors with `X.weight` int8 and its scales, which qharness loads.

transformers has no such method, and says so. The `quantization_config` tells what the tensors' shapes do not: which
Linears are not quantized (`kept`), which have activation scales of their own (`static`), and bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness import ModelError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

    from qharness import Load

METHOD = "qharness-int8"


class Int8Checkpoint:
    """How int8 checkpoints are written, read and run."""

    quant_method = METHOD

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """Write weights and configuration of a model whose Linears are Int8Linear. Leaves the model as it is."""
        model.config.quantization_config = describe(model)
        try:
            model.save_pretrained(folder)
        finally:
            del model.config.quantization_config

    def load(self, source: str, config: PretrainedConfig, load: Load) -> PreTrainedModel:
        """Load a checkpoint into Int8Linears, packed where the CPU runs that."""
        import qharness.plugins.int8.skeleton  # noqa: F401 - makes the method known to transformers

        model = load(source, config)
        settings = model.config.quantization_config
        del model.hf_quantizer, model.quantization_method
        model.is_quantized = False  # type: ignore[assignment]  # to transformers it is a model like others now
        model.config.quantization_config = settings.to_dict()
        return model

    def unpack(self, source: Path, target: Path) -> None:
        """Raise ModelError: no transformers loads int8 layers, in whatever form."""
        raise ModelError(f"{source} is an int8 checkpoint, which has no other form: qharness loads it as it is")

    def settle(self, model: nn.Module, memory: int) -> Mapping[str, int]:
        """Choose each Int8Linear's products: a second copy of weights, plain beside packed, where that pays and fits.

        It pays on a CPU with matrix tiles. Returns how many layers run which way.
        """
        from qharness.plugins.int8 import products
        from qharness.plugins.int8.linear import Int8Linear

        ways = Counter[str]()
        for layer in [module for module in model.modules() if isinstance(module, Int8Linear)]:
            if layer.packed_bytes:
                both = products.has_tiles() and layer.packed_bytes <= memory
                memory -= layer.packed_bytes if both else 0
                layer.pack(keep=both)
            ways[layer.way()] += 1
        return dict(ways)


def describe(model: nn.Module) -> dict[str, Any]:
    """The `quantization_config` of a model whose Linears are Int8Linear."""
    from torch import nn

    from qharness.plugins.int8.linear import Int8Linear

    layers = {name: module for name, module in model.named_modules() if isinstance(module, Int8Linear)}
    first = next(iter(layers.values()))
    return {
        "quant_method": METHOD,
        "per_column": len(first.weight_scale) > 1,
        "act_bits": first.act_bits,
        "static": [name for name, layer in layers.items() if layer.input_scale is not None],
        "kept": [name for name, module in model.named_modules() if isinstance(module, nn.Linear)],
    }
