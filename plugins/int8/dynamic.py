"""Dynamic quantization (Wei et al. 2023, II.C): int8 weights and activations, whose scales are found at run time."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from qharness import (
    CheckedOptions,
    CheckpointReaders,
    LayerForm,
    ModelError,
    QuantizationContext,
    SpecError,
    WeightBytes,
    option,
)
from qharness.plugins.int8.int8_checkpoint import Int8Checkpoint
from qharness.plugins.int8.int8_options import (
    SCALE_BYTES,
    Granularity,
    convert,
    linear_names,
    require_head,
    weight_bytes,
)

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Int8Dynamic(CheckedOptions):
    """Int8 weights and activations, activation scales found at run time."""

    name: ClassVar[str] = "int8-dynamic"
    needs_calibration: ClassVar[bool] = False
    checkpoint: ClassVar[Int8Checkpoint] = Int8Checkpoint()

    weights: Literal["per-tensor", "per-column"] = option(
        "per-tensor", "one weight scale for the matrix, or one for each output feature"
    )
    activations: Literal["token", "tensor"] = option(
        "token",
        "one activation scale a token, or PyTorch's quantize_dynamic: one range over the whole batch (CPU only)",
    )
    loss: Literal["max", "mse", "entropy", "percentile"] = option("max", "what the weights' clipping range minimises")
    weight_bits: int = option(8, "8, or 4 in int8's room", choices=(8, 4))
    act_bits: int = option(8, "8, or 4 in int8's room", choices=(8, 4))
    percentile: float = option(99.99, "of magnitudes, for loss=percentile", above=0, most=100)
    head: bool = option(True, "the output head as well, unless it shares the embeddings' weights")
    tied_head: bool = option(False, "a head that shares them too: a copy in int8, beside the embeddings as they are")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_head(self.head, self.tied_head)
        if self.activations == "tensor" and (self.loss, self.weight_bits, self.act_bits) != ("max", 8, 8):
            raise SpecError("int8-dynamic:activations=tensor is PyTorch's own, which has 8 bits and loss=max only")

    @property
    def batch_dependent(self) -> bool:
        """Whether one activation range serves the whole batch, so that each row's result depends on the others."""
        return self.activations == "tensor"

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> nn.Module:
        """Replace every Linear of the blocks, and the head, one at a time. Changes `model` in place."""
        from qharness import untie_head
        from qharness.plugins.int8.integer_grid import WeightGrid
        from qharness.plugins.int8.linear import Int8Linear

        if self.tied_head:
            untie_head(model)
        if self.activations == "tensor":
            return _torch_dynamic(model, self.weights, self.head)
        grid = WeightGrid(self.weights == "per-column", self.weight_bits, self.loss, self.percentile)
        names = linear_names(model, self.head)
        convert(model, names, lambda _, linear: Int8Linear.from_linear(linear, grid, self.act_bits), context.log)
        return model

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """Write a checkpoint of a quantized model."""
        if self.batch_dependent:
            raise ModelError("int8-dynamic:activations=tensor has no checkpoint form: it runs with `qharness run`")
        self.checkpoint.save(model, folder)

    def checkpoint_readers(self) -> CheckpointReaders:
        """Say who loads the checkpoints that `save` writes."""
        return self.checkpoint.readers(self.act_bits)

    def layer_forms(self) -> Sequence[LayerForm]:
        """Return the forms in which the cache of quantized models holds the layers."""
        from qharness.plugins.int8.int8_layer_forms import DYNAMIC_LINEAR, INT8_LINEAR

        return INT8_LINEAR, DYNAMIC_LINEAR

    def weight_bytes(self, layers: Mapping[str, tuple[int, int]], element_bytes: int) -> WeightBytes:
        """Compute sizes of layers (out, in): int8, and a float32 scale for the matrix or each of its rows.

        PyTorch's own scales are float64, each with an int64 zero point.
        """
        sizes = weight_bytes(layers, self.weights, self.weight_bits, scales=0)
        if not self.batch_dependent:
            return sizes
        scales = sizes.scales * 16 // SCALE_BYTES
        return dataclasses.replace(sizes, scales=scales, packed=sizes.weights + scales)


def _torch_dynamic(model: PreTrainedModel, weights: Granularity, head: bool) -> PreTrainedModel:
    """Replace the Linears by PyTorch's own, as `torch.ao.quantization.quantize_dynamic` makes them."""
    import torch
    from torch.ao import quantization
    from torch.ao.nn.quantized import dynamic

    from qharness import replace_module

    per_column = weights == "per-column"
    config = quantization.per_channel_dynamic_qconfig if per_column else quantization.default_dynamic_qconfig
    for name in linear_names(model, head):
        linear = model.get_submodule(name)
        if linear.weight.dtype != torch.float32 or linear.weight.device.type != "cpu":
            raise ModelError("int8-dynamic:activations=tensor is PyTorch's own and needs --device cpu --dtype float32")
        linear.qconfig = config  # type: ignore[assignment]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it is deprecated, and is what the paper ran
            replace_module(model, name, dynamic.Linear.from_float(linear))
    return model
