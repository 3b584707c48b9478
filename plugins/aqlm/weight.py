"""A weight matrix as AQLM writes it: each group of a row's weights is a sum of codebook vectors, times the row's scale.

Egiazarian et al. 2024 (arXiv 2401.06118), section 3. The layout is that of the package `aqlm`, which transformers runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from qharness import LazyWeight


def code_dtype(bits: int) -> torch.dtype:
    """What codes of so many bits are kept in: int8 up to 8, int16 up to 16; unsigned values are wrapped."""
    return torch.int8 if bits <= 8 else torch.int16


def wrap(indices: Tensor, bits: int) -> Tensor:
    """Integers from 0 to 2^bits - 1 as they are kept: those of the upper half become negative."""
    indices = indices.to(torch.int32)
    return torch.where(indices >= 1 << (bits - 1), indices - (1 << bits), indices).to(code_dtype(bits))


def unwrap(codes: Tensor, bits: int) -> Tensor:
    """The reverse of `wrap`: int32 from 0 to 2^bits - 1."""
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
        """From codes as plain integers, 0 to 2^B - 1, of any integer dtype."""
        return cls(codebooks, wrap(indices, bits_of(codebooks)), scales)

    @property
    def bits(self) -> int:
        """B, the bits of one code."""
        return bits_of(self.codebooks)

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in) of the matrix."""
        return self.codes.shape[0], self.codes.shape[1] * self.codebooks.shape[-1]

    def indices(self) -> Tensor:
        """The codes unwrapped: int32 [out, in/g, M], 0 to 2^B - 1."""
        return unwrap(self.codes, self.bits)

    def dequantize(self) -> Tensor:
        """The matrix [out, in] in the codebooks' dtype; differentiable in codebooks and scales."""
        return dequantize(self.codebooks, self.codes, self.scales)


def bits_of(codebooks: Tensor) -> int:
    """B of codebooks [M, 2^B, 1, g]."""
    return int(codebooks.shape[1]).bit_length() - 1


def dequantize(codebooks: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    """The matrix [rows, in] of some rows' codes [rows, in/g, M] and scales [rows, 1, 1, 1]; see QuantizedWeight."""
    books, size, _, group = codebooks.shape
    rows, groups, _ = codes.shape
    indices = unwrap(codes, bits_of(codebooks))
    offsets = torch.arange(0, books * size, size, dtype=torch.int32, device=codes.device)
    vectors = codebooks.reshape(books * size, group)
    total = functional.embedding_bag((indices + offsets).reshape(-1, books), vectors, mode="sum")  # [rows*in/g, g]
    return total.view(rows, groups * group) * scales.view(rows, 1)


class AqlmLinear(nn.Module):
    """A Linear whose weight is a QuantizedWeight; `bias` [out] or None.

    Its state has the names and shapes of `aqlm.QuantizedLinear`'s, so that what it saves, transformers loads. The
    forward pass is differentiable in codebooks, scales and bias, which begin frozen. `way`, called with this module
    and x, runs it instead where there is no gradient to take; it is neither saved nor copied (see running.py).
    """

    codes: Tensor
    way: nn.Module | None

    def __init__(self, weight: QuantizedWeight, bias: Tensor | None = None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.codebooks = nn.Parameter(weight.codebooks, requires_grad=False)
        self.scales = nn.Parameter(weight.scales, requires_grad=False)
        self.register_buffer("codes", weight.codes)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
        self.way = None

    @property
    def weight(self) -> Tensor:
        """What a model reads that asks a Linear for its weight: Mamba to multiply with, T5 for its dtype."""
        shape, books = (self.out_features, self.in_features), self.codebooks
        return LazyWeight(self.quantized.dequantize, shape, books.dtype, books.device)

    @property
    def quantized(self) -> QuantizedWeight:
        """The weight; it shares the module's memory."""
        return QuantizedWeight(self.codebooks, self.codes, self.scales)

    def dequantized_weight(self) -> Tensor:
        """The weight [out, in], float32."""
        return self.quantized.dequantize().float()

    def quantized_input(self, x: Tensor) -> Tensor:
        """Activations are left as they are."""
        return x

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in] to [..., out]."""
        if self.way is not None and not (torch.is_grad_enabled() and self.codebooks.requires_grad):
            y: Tensor = self.way(self, x)
            return y
        return functional.linear(x, self.quantized.dequantize(), self.bias)

    def __getstate__(self) -> dict[str, Any]:
        """Copied without its way, which belongs to one process on one machine."""
        return {**self.__dict__, "_modules": {}, "way": None}

    def extra_repr(self) -> str:
        """Shown by `print(model)`."""
        books, size, _, group = self.codebooks.shape
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}, "
            f"codebooks={books}, nbits={size.bit_length() - 1}, group={group}"
        )
