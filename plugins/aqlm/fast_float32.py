"""Multiplies float32 matrices by oneDNN in place of MKL where that loses nothing.

MKL runs a processor that is not Intel's with vectors of 256 bits; oneDNN uses the 512 bits that newer ones have: 240
GFLOP/s for MKL's 108 on one core of an EPYC with AVX-512. PyTorch gives oneDNN float32 products only where a precision
of bfloat16 is allowed. A processor without bfloat16 matrix units then computes in float32 all the same; one that has
them rounds, so that is looked for first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

_SIZES = (8, 64, 576)
_ROUNDED = 1e-5
"""A relative error between float32's (below 1e-6 at these sizes) and bfloat16's (above 1e-3)."""


@contextmanager
def fast_float32() -> Iterator[None]:
    """Let CPU products of float32 matrices run by oneDNN in this context, if they stay products in float32."""
    if not _exact():
        yield
        return
    with _allowed():
        yield


@contextmanager
def _allowed() -> Iterator[None]:
    onednn: Any = torch.backends.mkldnn
    settings = onednn.matmul
    before = settings.fp32_precision
    settings.fp32_precision = "bf16"
    try:
        yield
    finally:
        settings.fp32_precision = before


@cache
def _exact() -> bool:
    """Tell whether products are of float32's precision where bfloat16's is allowed; False without oneDNN."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.backends.mkldnn, "matmul"):
        return False
    draw = torch.Generator().manual_seed(0)
    with _allowed(), torch.no_grad():
        for inner in _SIZES:
            left, right = (torch.rand(256, inner, generator=draw) for _ in range(2))
            wanted = left.double() @ right.double().t()
            if float(((left @ right.t()).double() - wanted).norm()) > _ROUNDED * float(wanted.norm()):
                return False
    return True
