"""Int8 weights and int8 activations whose scale is found as they come: dynamic quantization (Wei et al. 2023, II.C)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from qharness import ModelError, QuantizationContext, WeightBytes, option

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Int8Dynamic:
    """Int8 weights and activations, activation scales found at run time."""

    name: ClassVar[str] = "int8-dynamic"
    needs_calibration: ClassVar[bool] = False

    weights: Literal["per-tensor", "per-column"] = option(
        "per-tensor", "one weight scale for the matrix, or one for each output feature"
    )
    activations: Literal["token", "tensor"] = option(
        "token",
        "one activation scale a token, or PyTorch's quantize_dynamic: one range over the whole batch (CPU only)",
    )

    @property
    def batch_dependent(self) -> bool:
        """One range over the batch makes each row's result depend on the others."""
        return self.activations == "tensor"

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> nn.Module:
        """Replace every Linear of the blocks, one at a time; embeddings and head stay. Changes `model` in place."""
        from qharness import block_linears, replace_module
        from qharness.plugins.int8.linear import Int8DynamicLinear

        for name, linear in block_linears(model).items():
            if self.activations == "tensor":
                new = _torch_dynamic(linear, self.weights)
            else:
                new = Int8DynamicLinear.from_linear(linear, per_column=self.weights == "per-column")
            replace_module(model, name, new)
        return model

    def weight_bytes(self, layers: Mapping[str, tuple[int, int]], element_bytes: int) -> WeightBytes:
        """Sizes of layers (out, in): int8, and a scale for the matrix or each of its rows.

        A scale is a float32; PyTorch's own are float64, each with an int64 zero point.
        """
        weights = sum(rows * columns for rows, columns in layers.values())
        count = sum(rows if self.weights == "per-column" else 1 for rows, _ in layers.values())
        scales = count * (16 if self.activations == "tensor" else 4)
        return WeightBytes(
            weights=weights, codes=weights, codebooks=0, scales=scales, packed=weights + scales, nominal_bits=8
        )


def _torch_dynamic(linear: nn.Linear, weights: str) -> nn.Module:
    """PyTorch's own dynamically quantized Linear, as `torch.ao.quantization.quantize_dynamic` makes it."""
    import torch
    from torch.ao import quantization
    from torch.ao.nn.quantized import dynamic

    if linear.weight.dtype != torch.float32 or linear.weight.device.type != "cpu":
        raise ModelError("int8-dynamic:activations=tensor is PyTorch's own and needs --device cpu --dtype float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and is what the paper ran
        per_column = weights == "per-column"
        config = quantization.per_channel_dynamic_qconfig if per_column else quantization.default_dynamic_qconfig
        linear.qconfig = config  # type: ignore[assignment]
        converted: nn.Module = dynamic.Linear.from_float(linear)
    return converted
