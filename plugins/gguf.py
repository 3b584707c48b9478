"""llama.cpp's quantization of weights to 4, 5 and 8 bits, by the arithmetic of the package `gguf`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from qharness import (
    MissingDependencyError,
    ModelError,
    QuantizationContext,
    Quantizer,
    SpecError,
    WeightBytes,
    hookimpl,
    option,
)

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType
    from torch import Tensor
    from transformers import PreTrainedModel

_BITS = {"q8_0": 8, "q5_1": 5, "q5_0": 5, "q4_1": 4, "q4_0": 4}
_READ_ONLY = ("q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq", "tq", "mxfp4", "nvfp4")
"""Begins of the types that the package reads and does not write; files of `q4_k_m` have tensors of `q4_k`."""


@dataclass(frozen=True)
class Gguf:
    """Weights rounded as a GGUF file of llama.cpp holds them, 32 of a row with one scale; activations as they are."""

    name: ClassVar[str] = "gguf"
    needs_calibration: ClassVar[bool] = False
    batch_dependent: ClassVar[bool] = False

    type: str | None = option(
        None,
        "how weights are kept: their bits, and _1 where a block has a minimum besides its scale",
        choices=tuple(_BITS),
    )

    def __post_init__(self) -> None:
        if self.type is None:
            raise SpecError(f"gguf needs a type, {', '.join(_BITS)}: write gguf:q8_0")
        if self.type.lower().startswith(_READ_ONLY):
            raise SpecError(
                f"gguf:{self.type} can be read and not made here: such a file is a model of its own, name it by "
                "--model, and what to compare it with by --baseline"
            )

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> PreTrainedModel:
        """Round every Linear of the blocks in place, but for those whose rows cannot be cut into blocks of 32.

        The rounded weights keep their dtype: memory is not saved.
        """
        from qharness import block_linears

        kind, linears = self._kind(), block_linears(model)
        shapes = {name: (linear.out_features, linear.in_features) for name, linear in linears.items()}
        taken = _divisible(shapes, _block(kind)[0])
        if left := sorted(shapes.keys() - taken.keys()):
            context.log(f"gguf: {len(left)} of {len(shapes)} layers are left in full precision: {left[0]}, ...")
        changed = False
        for name in taken:
            new = rounded(linears[name].weight, kind)
            changed = changed or not new.equal(linears[name].weight)
            linears[name].weight.copy_(new)
        if not changed:
            raise ModelError(
                f"gguf:{self.type} changes nothing: such codes stand for all weights of the model's blocks as they are"
            )
        return model

    def weight_bytes(self, layers: Mapping[str, tuple[int, int]], element_bytes: int) -> WeightBytes:
        """Compute sizes of layers (out, in): whole, for rounding is simulated; packed, as a GGUF file holds them."""
        weights_a_block, bytes_a_block = _block(self._kind())
        taken = _divisible(layers, weights_a_block)
        weights = sum(rows * columns for rows, columns in taken.values())
        return WeightBytes(
            weights=weights,
            codes=weights * element_bytes,
            codebooks=0,
            scales=0,
            packed=weights // weights_a_block * bytes_a_block,
            nominal_bits=_BITS[str(self.type)],
        )

    def _kind(self) -> GGMLQuantizationType:
        try:
            from gguf import GGMLQuantizationType
        except ImportError:
            raise MissingDependencyError("the package gguf", "pip install 'qharness[gguf]'") from None
        return GGMLQuantizationType[str(self.type).upper()]


def rounded(weight: Tensor, kind: GGMLQuantizationType) -> Tensor:
    """Return the weights [out, in] that a type's codes stand for, computed in float32, in the dtype they had."""
    import torch
    from gguf.quants import dequantize, quantize

    values = weight.detach().float().cpu().contiguous().numpy()
    return torch.from_numpy(dequantize(quantize(values, kind), kind)).to(weight.device, weight.dtype)


def _block(kind: GGMLQuantizationType) -> tuple[int, int]:
    """Return the weights of a block, and its bytes."""
    from gguf import GGML_QUANT_SIZES

    return GGML_QUANT_SIZES[kind]


def _divisible(layers: Mapping[str, tuple[int, int]], block: int) -> Mapping[str, tuple[int, int]]:
    """Return the layers (out, in) whose rows are whole blocks. Raises ModelError if there are none."""
    found = {name: shape for name, shape in layers.items() if shape[1] % block == 0}
    if not found:
        raise ModelError(f"gguf: no layer of the model has a width that blocks of {block} divide")
    return found


@hookimpl
def qharness_quantizers() -> list[type[Quantizer]]:
    """Offer `gguf`."""
    return [Gguf]
