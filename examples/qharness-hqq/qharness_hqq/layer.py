"""The library's layer, with what qharness asks of a quantized Linear. Imports torch and hqq: not for start-up."""

from __future__ import annotations

import torch
from hqq.core.quantize import BaseQuantizeConfig, HQQLinear
from torch import Tensor, nn

from qharness import ModelError


class HqqLinear(HQQLinear):
    """A Linear whose weight is packed; scales and zero points are in `meta`, which is no parameter."""

    @property
    def packed_bytes(self) -> int:
        """Bytes beside the parameters."""
        return sum(value.nbytes for value in self.meta.values() if isinstance(value, Tensor))

    def dequantized_weight(self) -> Tensor:
        """The weight it multiplies with, [out, in], float32."""
        return self.dequantize().float()

    def quantized_input(self, x: Tensor) -> Tensor:
        """Activations are left as they are."""
        return x


def quantized(name: str, linear: nn.Linear, bits: int, group: int) -> HqqLinear:
    """The layer in place of `linear`, on its device and in its dtype; groups are consecutive weights of the rows."""
    if linear.weight.numel() % group:
        raise ModelError(f"hqq's group of {group} does not divide the {linear.weight.numel()} weights of {name}")
    settings = BaseQuantizeConfig(nbits=bits, group_size=group, axis=1)
    with torch.no_grad():
        return HqqLinear(
            linear, settings, compute_dtype=linear.weight.dtype, device=str(linear.weight.device), initialize=True
        )
