"""Three kernels that run an AqlmLinear, and the choice among them for each layer, within the memory that is free.

They give the same results up to rounding:

* `lookup` multiplies with the sums of codebook vectors that the codes name, and holds no weight: at 3 bits it reads an
  eighth of what a plain Linear reads, and takes about half of its time for a few rows. It is for float32 on a CPU where
  numba is installed, and for layers that are worth its compilation. With codebooks that no processor's cache holds
  beside the rest it is slower than a plain Linear, and runs where memory does not suffice for that.
* `dense` dequantizes the weight once and holds it. It is as fast as a plain Linear, and as large.
* `pieces` dequantizes some rows of the weight at a time, on each call. It is slow and takes little memory.
"""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from qharness.plugins.aqlm.weight import PIECE, AqlmLinear, dequantize

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORTH_COMPILING = 1 << 18
"""Weights of a layer from which it is looked up: compiling takes a second, and small Linears are fast anyway."""
_QUICK_CODEBOOKS = 1 << 18
"""Bytes of codebooks up to which looking up is faster: two of 12 bits are, one of 14 is not."""


class Dense(nn.Module):
    """Holds a Linear's weight [out, in], dequantized. The state dict leaves it out; the memory account counts it."""

    weight: Tensor

    def __init__(self, layer: AqlmLinear) -> None:
        super().__init__()
        self.register_buffer("weight", layer.quantized.dequantize().detach(), persistent=False)

    def forward(self, layer: AqlmLinear, x: Tensor) -> Tensor:
        """Map x [..., in] to [..., out]."""
        return functional.linear(x, self.weight, layer.bias)


class Pieces(nn.Module):
    """Dequantizes a piece of the weight at a time."""

    def forward(self, layer: AqlmLinear, x: Tensor) -> Tensor:
        """Map x [..., in] to [..., out]."""
        rows = max(1, PIECE // layer.in_features)
        y = x.new_empty(*x.shape[:-1], layer.out_features)
        for start in range(0, layer.out_features, rows):
            piece = slice(start, start + rows)
            weight = dequantize(layer.codebooks, layer.codes[piece], layer.scales[piece])
            y[..., piece] = functional.linear(x, weight, None if layer.bias is None else layer.bias[piece])
        return y


class Lookup(nn.Module):
    """Multiplies with what the codes name; in pieces where a gradient is wanted."""

    def __init__(self) -> None:
        super().__init__()
        from qharness.plugins.aqlm.code_products import product

        self._product = product

    def forward(self, layer: AqlmLinear, x: Tensor) -> Tensor:
        """Map x [..., in] to [..., out]."""
        if torch.is_grad_enabled() and x.requires_grad:
            y: Tensor = _PIECES(layer, x)
            return y
        return self._product(x, layer.codes, layer.codebooks, layer.scales, layer.bias)


_PIECES = Pieces()


def select_kernels(model: nn.Module, memory: int) -> Mapping[str, int]:
    """Choose a kernel for each AqlmLinear, in at most `memory` bytes more than the model takes without.

    Layers that are not best looked up are made dense in the model's order while memory lasts. Returns how many layers
    run by each kernel.
    """
    counts = Counter[str]()
    for layer in [module for module in model.modules() if isinstance(module, AqlmLinear)]:
        layer.kernel = None
        dense_bytes = layer.out_features * layer.in_features * layer.codebooks.element_size()
        can_be_looked_up, fits = _suits_lookup(layer), dense_bytes <= memory
        if can_be_looked_up and not (fits and layer.codebooks.nbytes > _QUICK_CODEBOOKS):
            layer.kernel, name = Lookup(), "lookup"
        elif fits:
            layer.kernel, name = Dense(layer), "dense"
            memory -= dense_bytes
        else:
            layer.kernel, name = Pieces(), "pieces"
        counts[name] += 1
    return dict(counts)


def _suits_lookup(layer: AqlmLinear) -> bool:
    """Tell whether a layer can be looked up, and is worth it."""
    return (
        layer.codes.device.type == "cpu"
        and layer.codebooks.dtype == torch.float32
        and layer.out_features * layer.in_features >= _WORTH_COMPILING
        and find_spec("numba") is not None
    )
