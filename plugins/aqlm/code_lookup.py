"""Three kernels that run an AqlmLinear, and the choice among them for each layer, within the memory that is free.

They give the same results up to rounding:

* `dense` dequantizes the weight once and holds it. It is as fast as a plain Linear, and as large.
* `pieces` dequantizes some rows of the weight at a time, on each call. It is slow and takes little memory.
* `lookup` is the package's kernel for 8-bit codebooks in float32, which adds up products of the input with codebook
  vectors. Its threads race (1.1.7: wrong results), so it gets one. It beats a plain Linear where the input has few
  rows; for more rows, a layer that has it runs one of the other two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from qharness.plugins.aqlm.weight import AqlmLinear, dequantize

if TYPE_CHECKING:
    from collections.abc import Mapping

PIECE = 1 << 20
"""How many weights are dequantized at a time."""
_LOOKUPS = 6
"""Codebooks times rows times threads up to which the kernel is faster: 2x8 at one row takes 0.7 of a Linear's time."""


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
    """Runs the package's kernel for few rows, and `other` for more. Holds that kernel's codes [in/g, out, M]."""

    codes: Tensor

    def __init__(self, layer: AqlmLinear, other: nn.Module) -> None:
        super().__init__()
        self.other = other
        self.register_buffer("codes", layer.codes.permute(1, 0, 2).contiguous(), persistent=False)

    def forward(self, layer: AqlmLinear, x: Tensor) -> Tensor:
        """Map x [..., in] to [..., out]."""
        from aqlm.inference_kernels.numba_kernel import numba_gemm_lut

        rows = x.numel() // layer.in_features
        if rows * len(layer.codebooks) * torch.get_num_threads() > _LOOKUPS:
            y: Tensor = self.other(layer, x)
            return y
        with _one_thread():
            looked_up: Tensor = numba_gemm_lut(x, self.codes, layer.codebooks, layer.scales, layer.bias)
        return looked_up


@contextmanager
def _one_thread() -> Iterator[None]:
    """Give numba one thread. Its OpenMP layer sets the number for PyTorch too, so both are put back."""
    import numba

    torchs, threads = torch.get_num_threads(), numba.get_num_threads()  # numba's first look may change the other
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(threads)
        if torch.get_num_threads() != torchs:
            torch.set_num_threads(torchs)


def select_kernels(model: nn.Module, memory: int) -> Mapping[str, int]:
    """Choose a kernel for each AqlmLinear, in at most `memory` bytes more than the model takes without.

    Layers are made dense in the model's order while memory lasts; the rest run in pieces. Returns how many layers run
    by each kernel.
    """
    counts = Counter[str]()
    for layer in [module for module in model.modules() if isinstance(module, AqlmLinear)]:
        layer.kernel = None
        dense_bytes = layer.out_features * layer.in_features * layer.codebooks.element_size()
        lookup = _suits_lookup(layer)
        left = memory - (layer.codes.nbytes if lookup else 0)
        fits = dense_bytes <= left
        kernel: nn.Module = Dense(layer) if fits else Pieces()
        memory -= dense_bytes if fits else 0
        name = "dense" if fits else "pieces"
        if lookup and left >= 0:
            kernel, name = Lookup(layer, kernel), f"lookup or {name}"
            memory -= layer.codes.nbytes
        layer.kernel = kernel
        counts[name] += 1
    return dict(counts)


def _suits_lookup(layer: AqlmLinear) -> bool:
    """Tell whether the package's kernel can run a layer and is ever the fastest."""
    return (
        layer.quantized.bits == 8
        and layer.codes.device.type == "cpu"
        and layer.codebooks.dtype == torch.float32
        and len(layer.codebooks) * torch.get_num_threads() <= _LOOKUPS
        and layer.out_features * layer.in_features >= PIECE  # compiling takes seconds; small Linears are fast anyway
        and _installed()
    )


def _installed() -> bool:
    try:
        import aqlm
        import numba
    except ImportError:
        return False
    return bool(aqlm and numba)
