"""Chooses the number and size of codebooks that give a model so many bits a weight."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

TABLE = {8: (4, 15), 4: (2, 15), 3: (2, 12), 2: (1, 15)}
"""Bits a weight: (codebooks, bits of a code), at groups of 8 (Giagnorio et al. 2025, table 1)."""

GROUP = 8
_EXCESS = 1.05
_ENOUGH = 0.95
_FLOAT_BITS = 16
_COST_OF_SUMS = 0.095


@dataclass(frozen=True)
class Shape:
    """How a weight is coded: `codebooks` M of 2^`nbits` entries, each `group` g weights wide."""

    codebooks: int
    nbits: int
    group: int

    def average_bits(self, layers: Collection[tuple[int, int]]) -> float:
        """Return bits a weight over the layers' (out, in): codes at their true bits, other numbers at 16."""
        weights = sum(rows * columns for rows, columns in layers)
        books = len(layers) * self.codebooks * (1 << self.nbits) * self.group * _FLOAT_BITS
        scales = sum(rows for rows, _ in layers) * _FLOAT_BITS
        return self.codebooks * self.nbits / self.group + (books + scales) / weights

    @property
    def _worth(self) -> float:
        """Estimate the bits a weight that one codebook would need for the same error.

        A sum of M small codebooks is a poorer code than one large one of as many bits. Fitted to the errors of
        tinycoder's layers for ten pairs from 1x8 to 10x3: each codebook after the first costs about 0.1 bits a weight.
        """
        return self.codebooks * self.nbits / self.group - _COST_OF_SUMS * (self.codebooks - 1)


def shape_for(bits: int, layers: Collection[tuple[int, int]]) -> Shape:
    """Return the table's shape for `bits`, unless codebooks and scales take the average above 1.05 times that.

    In that case, return the table's number of codebooks with the most bits that fit, as the paper did for its 1B model,
    if that comes to 0.95 of `bits` or more; else the shape worth most of those that fit; if none fits, the smallest.
    `layers`: (out, in) of every Linear that is quantized, not empty.
    """
    books, most = TABLE[bits]

    def fitting(numbers: Iterable[int]) -> list[Shape]:
        shapes = [Shape(number, nbits, GROUP) for number in numbers for nbits in range(1, most + 1)]
        return [shape for shape in shapes if shape.average_bits(layers) <= _EXCESS * bits]

    usual = max(fitting([books]), key=lambda shape: shape.nbits, default=None)
    if usual and (usual.nbits == most or usual.average_bits(layers) >= _ENOUGH * bits):
        return usual
    every = fitting(range(1, bits * GROUP + 1))
    return max(every, key=lambda shape: (shape._worth, shape.nbits), default=Shape(1, 1, GROUP))
