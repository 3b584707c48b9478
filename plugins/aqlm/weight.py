"""A weight matrix in AQLM's form: each group of a row's weights is a sum of codebook vectors, times the row's scale.

The form is of Egiazarian et al. 2024 (arXiv 2401.06118), section 3; the layout is that of the package `aqlm`, which
transformers runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from qharness import LazyWeight

PIECE = 1 << 20
"""How many weights are dequantized at a time where they are not held: they stay in a processor's last cache."""


def code_dtype(bits: int) -> torch.dtype:
    """Return the dtype of codes of so many bits: int8 up to 8, int16 up to 16. Unsigned values are wrapped."""
    return torch.int8 if bits <= 8 else torch.int16


def wrap(indices: Tensor, bits: int) -> Tensor:
    """Turn integers from 0 to 2^bits - 1 into codes: those of the upper half become negative."""
    indices = indices.to(torch.int32)
    return torch.where(indices >= 1 << (bits - 1), indices - (1 << bits), indices).to(code_dtype(bits))


def unwrap(codes: Tensor, bits: int) -> Tensor:
    """Turn codes back into int32 from 0 to 2^bits - 1; the reverse of `wrap`."""
    return codes.to(torch.int32) & ((1 << bits) - 1)


@dataclass(frozen=True)
class QuantizedWeight:
    """W[o, j*g:(j+1)*g] = scales[o] * sum_m codebooks[m, codes[o, j, m], 0].

    codebooks float [M, 2^B, 1, g]; codes int8 (B up to 8) or int16 [out, in/g, M], wrapped; scales float
    [out, 1, 1, 1].
    """

    codebooks: Tensor
    codes: Tensor
    scales: Tensor

    @classmethod
    def from_indices(cls, codebooks: Tensor, indices: Tensor, scales: Tensor) -> QuantizedWeight:
        """Make a weight of codes that are plain integers, 0 to 2^B - 1, of any integer dtype."""
        return cls(codebooks, wrap(indices, bits_of(codebooks)), scales)

    @property
    def bits(self) -> int:
        """Return B, the bits of one code."""
        return bits_of(self.codebooks)

    @property
    def shape(self) -> tuple[int, int]:
        """Return (out, in) of the matrix."""
        return self.codes.shape[0], self.codes.shape[1] * self.codebooks.shape[-1]

    def indices(self) -> Tensor:
        """Return the codes unwrapped: int32 [out, in/g, M], 0 to 2^B - 1."""
        return unwrap(self.codes, self.bits)

    def dequantize(self) -> Tensor:
        """Return the matrix [out, in] in the codebooks' dtype; differentiable in codebooks and scales."""
        return dequantize(self.codebooks, self.codes, self.scales)


def bits_of(codebooks: Tensor) -> int:
    """Return B of codebooks [M, 2^B, 1, g]."""
    return int(codebooks.shape[1]).bit_length() - 1


def dequantize(codebooks: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    """Return a QuantizedWeight's matrix [rows, in] for codes [rows, in/g, M] and scales [rows, 1, 1, 1]."""
    books, size, _, group = codebooks.shape
    rows, groups, _ = codes.shape
    indices = unwrap(codes, bits_of(codebooks))
    offsets = torch.arange(0, books * size, size, dtype=torch.int32, device=codes.device)
    vectors = codebooks.reshape(books * size, group)
    total = functional.embedding_bag((indices + offsets).reshape(-1, books), vectors, mode="sum")  # [rows*in/g, g]
    return total.view(rows, groups * group) * scales.view(rows, 1)


class AqlmLinear(nn.Module):
    """A Linear whose weight is a QuantizedWeight; `bias` [out] or None.

    Its state dict has the names and shapes of `aqlm.QuantizedLinear`'s, so transformers loads it. The forward pass is
    differentiable in codebooks, scales and bias, which begin frozen. Where no gradient is taken, `kernel` runs it,
    called with this module and x; a kernel is neither saved nor copied (see code_lookup.py).
    """

    codes: Tensor
    kernel: nn.Module | None

    def __init__(self, weight: QuantizedWeight, bias: Tensor | None = None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.codebooks = nn.Parameter(weight.codebooks, requires_grad=False)
        self.scales = nn.Parameter(weight.scales, requires_grad=False)
        self.register_buffer("codes", weight.codes)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.kernel = None

    @property
    def weight(self) -> Tensor:
        """Return a weight that is computed when it is used: Mamba multiplies with it, T5 reads its dtype."""
        shape, books = (self.out_features, self.in_features), self.codebooks
        return LazyWeight(self.quantized.dequantize, shape, books.dtype, books.device)

    @property
    def quantized(self) -> QuantizedWeight:
        """Return the weight, which shares the module's memory."""
        return QuantizedWeight(self.codebooks, self.codes, self.scales)

    def dequantized_weight(self) -> Tensor:
        """Return the weight [out, in], float32."""
        return self.quantized.dequantize().float()

    def quantized_input(self, x: Tensor) -> Tensor:
        """Return x: activations are not quantized."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Map x [..., in] to [..., out]."""
        if self.kernel is not None and not (torch.is_grad_enabled() and self.codebooks.requires_grad):
            y: Tensor = self.kernel(self, x)
            return y
        return functional.linear(x, self.quantized.dequantize(), self.bias)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the kernel, which belongs to one process on one machine."""
        return {**self.__dict__, "_modules": {}, "kernel": None}

    def extra_repr(self) -> str:
        """Describe the layer for `print(model)`."""
        books, size, _, group = self.codebooks.shape
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}, "
            f"codebooks={books}, nbits={size.bit_length() - 1}, group={group}"
        )
