"""What both int8 quantizers share: their weights' part."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from qharness import ModelError, SpecError, WeightBytes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from qharness.plugins.int8.linear import Int8Linear

Granularity = Literal["per-tensor", "per-column"]
SCALE_BYTES = 4  # float32, whatever the model's dtype


def check_options(name: str, bits: Mapping[str, int], percentile: float) -> None:
    """Raise SpecError for widths other than 8 and 4 bits, and for what is no percentage."""
    for option, value in bits.items():
        if value not in (8, 4):
            raise SpecError(f"{name}'s {option} must be 8 or 4, not {value}")
    if not 0 < percentile <= 100:
        raise SpecError(f"{name}'s percentile must be above 0 and at most 100, not {percentile:g}")


def linear_names(model: PreTrainedModel, head: bool) -> list[str]:
    """The Linears of the blocks, and the output head where its weights are its own, by name.

    Names only: who holds a layer keeps its weights alive.
    """
    from qharness import block_linears, head_linear

    return [*block_linears(model), *(head_linear(model) if head else ())]


def convert(
    model: PreTrainedModel,
    names: Sequence[str],
    make: Callable[[str, nn.Linear], Int8Linear],
    log: Callable[[str], None],
) -> None:
    """Put `make(name, linear)` in place of each of the Linears, which is freed before the next is made.

    Layers get the packed form where the CPU runs it. Raises ModelError for weights that are not finite.
    """
    from torch import nn

    from qharness import replace_module

    ways = Counter[str]()
    for name in names:
        linear = model.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        new = make(name, linear)
        if not new.weight_scale.isfinite().all():
            raise ModelError(f"{name} has weights that are no finite numbers: it cannot be quantized")
        replace_module(model, name, new)
        del linear
        trim()
        new.pack()
        ways[new.way()] += 1
    log(f"products of {', '.join(f'{count} layers: {way}' for way, count in ways.items())}")


@cache
def _glibc() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another C library
        return lambda _: 0


def trim() -> None:
    """Give freed memory back to the system: glibc keeps blocks below 32 MB, and a layer's weights may be one."""
    _glibc()(0)


def weight_bytes(layers: Mapping[str, tuple[int, int]], weights: Granularity, bits: int, scales: int) -> WeightBytes:
    """Sizes of layers (out, in): a byte a weight whatever the bits, weights' scales, and `scales` more a layer."""
    count = sum(rows * columns for rows, columns in layers.values())
    packed = sum(-(-rows * columns * bits // 8) for rows, columns in layers.values())
    own = sum(rows if weights == "per-column" else 1 for rows, _ in layers.values())
    size = SCALE_BYTES * (own + scales * len(layers))
    return WeightBytes(count, codes=count, codebooks=0, scales=size, packed=packed + size, nominal_bits=bits)
