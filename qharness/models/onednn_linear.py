"""Runs Linears in float32 by oneDNN where PyTorch would run them by MKL on a processor that is not Intel's.

MKL has vectors of 256 bits there; oneDNN uses the 512 that newer ones have, and reads weights at the memory's rate: on
an EPYC a decode step's products take half of the time or less at any batch. Both compute in float32.

Only Linears: oneDNN takes far longer than MKL for the many small products of attention.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Parameter, functional

from qharness.models.replaced_names import replaced
from qharness.models.scripted_in_traces import scripted_in_traces

_LEAST_PRODUCTS = 1 << 19
"""Multiplications of a Linear from which it gains; below, the call takes longer than they do."""
_linear = functional.linear


@contextmanager
def onednn_linear() -> Iterator[None]:
    """Let Linears of float32 run by oneDNN in this context, where that is faster and no gradient is wanted."""
    if not _is_faster():
        yield
        return
    with replaced(functional, "linear", _by_size):
        yield


def _by_size(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002 - PyTorch's names
    """`torch.nn.functional.linear`, for inputs [..., in] and weights [out, in]."""
    if (
        input.dtype is torch.float32
        and type(weight) in (Tensor, Parameter)
        and weight.dtype is torch.float32
        and weight.device.type == input.device.type == "cpu"
        and not torch.is_grad_enabled()
    ):
        return _product(input, weight, bias, _LEAST_PRODUCTS)
    return _linear(input, weight, bias)


@scripted_in_traces
def _product(input: Tensor, weight: Tensor, bias: Tensor | None, least: int) -> Tensor:  # noqa: A002
    """A Linear in float32, by oneDNN from so many multiplications on."""
    if input.numel() * weight.shape[0] >= least:
        return torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")  # type: ignore[no-any-return]
    return _linear(input, weight, bias)


@cache
def _is_faster() -> bool:
    """Whether this processor has vectors of 512 bits, which MKL does not use: by name, so always the same."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise") or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    try:
        return "GenuineIntel" not in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
