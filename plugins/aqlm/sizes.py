"""Sizes of AQLM's weights, from shapes alone."""

from __future__ import annotations

from collections.abc import Mapping

from qharness import ModelError, WeightBytes
from qharness.plugins.aqlm.bit_allocation import Shape
from qharness.plugins.aqlm.packing import packed_bytes

Layers = Mapping[str, tuple[int, int]]


def divisible(layers: Layers, group: int, skip_indivisible: bool) -> Layers:
    """Return the layers (out, in) whose width `group` divides; raise ModelError for another unless it is skipped."""
    for name, (_, columns) in layers.items():
        if columns % group and not skip_indivisible:
            raise ModelError(
                f"aqlm: {name} is {columns} wide, which groups of {group} do not divide: "
                f"give skip_indivisible=true to leave such layers as they are"
            )
    found = {name: (rows, columns) for name, (rows, columns) in layers.items() if columns % group == 0}
    if not found:
        raise ModelError(f"aqlm: no layer of the model has a width that groups of {group} divide")
    return found


def weight_bytes(layers: Layers, shape: Shape, element_bytes: int) -> WeightBytes:
    """Compute the bytes of codes, codebooks and scales of layers (out, in) that are coded in one shape.

    Codes take 8 bits up to B = 8 and 16 above (weight.py); packed, they take B (packing.py).
    """
    codes = [rows * columns // shape.group * shape.codebooks for rows, columns in layers.values()]
    books = len(layers) * shape.codebooks * (1 << shape.nbits) * shape.group * element_bytes
    scales = sum(rows for rows, _ in layers.values()) * element_bytes
    return WeightBytes(
        weights=sum(rows * columns for rows, columns in layers.values()),
        codes=sum(codes) * (1 if shape.nbits <= 8 else 2),
        codebooks=books,
        scales=scales,
        packed=sum(packed_bytes(count, shape.nbits) for count in codes) + books + scales,
        nominal_bits=shape.codebooks * shape.nbits / shape.group,
    )
