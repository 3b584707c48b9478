"""What both int8 quantizers do with weights: find the Linears, replace them, compute their sizes."""

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


def require_head(head: bool, tied_head: bool) -> None:
    """Raise SpecError for options that take a head that shares its weights, and none of its own."""
    if tied_head and not head:
        raise SpecError("tied_head=true quantizes the head, which head=false leaves as it is: give one of them")


def linear_names(model: PreTrainedModel, head: bool) -> list[str]:
    """Return the names of the blocks' Linears, and of the output head where its weights are its own.

    They are names and not layers because a reference to a layer keeps its weights alive.
    """
    from qharness import block_linears, head_linear

    return [*block_linears(model), *(head_linear(model) if head else ())]


def convert(
    model: PreTrainedModel,
    names: Sequence[str],
    make: Callable[[str, nn.Linear], Int8Linear],
    log: Callable[[str], None],
) -> None:
    """Replace each Linear by `make(name, linear)`, and free it before the next is made.

    New layers are packed where the CPU can run that. Raises ModelError for weights that are not finite.
    """
    from torch import nn

    from qharness import replace_module

    kernels = Counter[str]()
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
        kernels[new.kernel()] += 1
    log(f"products of {', '.join(f'{count} layers: {kernel}' for kernel, count in kernels.items())}")


@cache
def _glibc() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another C library
        return lambda _: 0


def trim() -> None:
    """Give freed memory back to the system: glibc holds blocks below 32 MB, as a layer's weights may be."""
    _glibc()(0)


def weight_bytes(layers: Mapping[str, tuple[int, int]], weights: Granularity, bits: int, scales: int) -> WeightBytes:
    """Compute sizes of layers (out, in): a byte a weight for any bits, weights' scales, and `scales` more a layer."""
    count = sum(rows * columns for rows, columns in layers.values())
    packed = sum(-(-rows * columns * bits // 8) for rows, columns in layers.values())
    own = sum(rows if weights == "per-column" else 1 for rows, _ in layers.values())
    size = SCALE_BYTES * (own + scales * len(layers))
    return WeightBytes(count, codes=count, codebooks=0, scales=size, packed=packed + size, nominal_bits=bits)
