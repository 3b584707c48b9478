"""Round-to-nearest, the naive baseline of weight quantizers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from qharness import CheckedOptions, QuantizationContext, Quantizer, WeightBytes, hookimpl, option

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Rtn(CheckedOptions):
    """Weights rounded to the nearest of 2^bits levels between a group's least and greatest, activations as they are."""

    name: ClassVar[str] = "rtn"
    needs_calibration: ClassVar[bool] = False
    batch_dependent: ClassVar[bool] = False

    bits: int = option(4, "bits a weight, 1 to 8", least=1, most=8)
    group: int = option(64, "consecutive weights of a row that share their levels; 0 for the whole row", least=0)

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> PreTrainedModel:
        """Round every Linear of the blocks in place. The rounded weights keep their dtype: memory is not saved."""
        from qharness import block_linears

        for linear in block_linears(model).values():
            linear.weight.copy_(round_to_nearest(linear.weight, self.bits, self.group or linear.in_features))
        return model

    def weight_bytes(self, layers: Mapping[str, tuple[int, int]], element_bytes: int) -> WeightBytes:
        """Compute sizes of layers (out, in): whole, for rounding is simulated; packed, a group has minimum and step."""
        weights = sum(rows * columns for rows, columns in layers.values())
        groups = sum(rows * (-(-columns // self.group) if self.group else 1) for rows, columns in layers.values())
        packed = sum(-(-rows * columns * self.bits // 8) for rows, columns in layers.values())
        return WeightBytes(
            weights=weights,
            codes=weights * element_bytes,
            codebooks=0,
            scales=0,
            packed=packed + groups * 2 * element_bytes,
            nominal_bits=self.bits,
        )


def round_to_nearest(weight: Tensor, bits: int, group: int) -> Tensor:
    """Round `weight` [out, in] to 2^bits evenly spaced levels from each group's minimum to its maximum.

    A group is `group` consecutive weights of a row; the last of a row may be shorter. Computed in float32, returned
    in the weight's dtype. A group whose weights are all equal is left as it is.
    """
    import torch

    parts = []
    for part in weight.float().split(group, dim=1):
        low, high = part.aminmax(dim=1, keepdim=True)
        step = (high - low) / (2**bits - 1)
        codes = ((part - low) / torch.where(step > 0, step, torch.ones_like(step))).round()
        parts.append(codes * step + low)
    return torch.cat(parts, dim=1).to(weight.dtype)


@hookimpl
def qharness_quantizers() -> list[type[Quantizer]]:
    """Offer `rtn`."""
    return [Rtn]
