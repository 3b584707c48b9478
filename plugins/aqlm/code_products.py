"""A Linear's product from an AQLM weight's codes, as an operation of PyTorch's, which a recorded step has too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numba
import torch
from torch import Tensor
from torch.nn import functional

from qharness.plugins.aqlm.code_loops import LINES, Form, Loops, loops
from qharness.plugins.aqlm.weight import PIECE

_MOST_ROWS = 16
"""Rows of inputs up to which codes are multiplied; for more, a Linear multiplies what is dequantized for it."""


def _linear(x: Tensor, codes: Tensor, codebooks: Tensor, scales: Tensor, bias: Tensor | None) -> Tensor:
    out, groups, count = codes.shape
    _, entries, _, group = codebooks.shape
    inputs = x.reshape(-1, x.shape[-1]).contiguous()
    floats = (inputs, codebooks, scales)
    if inputs.shape[1] != groups * group or any(each.dtype != torch.float32 for each in floats):
        raise RuntimeError(f"a layer of {groups * group} inputs of float32 was given {inputs.shape[1]} of {x.dtype}")
    if not all(each.is_contiguous() for each in (codes, codebooks, scales)):
        raise RuntimeError("a layer's codes, codebooks and scales must be contiguous")
    compiled = loops(Form(count, entries, group, codes.element_size()))
    _take_as_many_threads()
    if len(inputs) <= _MOST_ROWS and out >= LINES:
        y = inputs.new_empty(len(inputs), out)
        addresses = (each.data_ptr() for each in (codes, codebooks, scales, inputs, y))
        compiled.products(*addresses, len(inputs), out, groups)
    else:
        pieces = [*_by_pieces(compiled, inputs, codes, codebooks, scales)]
        y = pieces[0] if len(pieces) == 1 else torch.cat(pieces, 1)
    if bias is not None:
        y += bias
    return y.view(*x.shape[:-1], out)


def _by_pieces(compiled: Loops, inputs: Tensor, codes: Tensor, codebooks: Tensor, scales: Tensor) -> Iterator[Tensor]:
    """Yield the products of inputs [rows, in] with one piece of the weight after another."""
    columns = inputs.shape[1]
    lines = max(1, PIECE // columns)
    for some, their in zip(codes.split(lines), scales.split(lines), strict=True):
        weight = _SCRATCH.weight(len(some), columns)
        addresses = (each.data_ptr() for each in (some, codebooks, their, weight))
        compiled.dequantize(*addresses, len(some), some.shape[1])
        yield functional.linear(inputs, weight)


class _Scratch(threading.local):
    """Memory for a piece, of each thread that computes: what is allocated anew is slow to touch."""

    _floats = torch.empty(0)

    def weight(self, rows: int, columns: int) -> Tensor:
        """Return float32 [rows, columns], of any values."""
        if len(self._floats) < rows * columns:
            self._floats = torch.empty(rows * columns)
        return self._floats[: rows * columns].view(rows, columns)


_SCRATCH = _Scratch()


def _take_as_many_threads() -> None:
    """Give numba as many threads as PyTorch has; its first call may change PyTorch's, for both are OpenMP's."""
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


_OPERATIONS = torch.library.Library("qharness_aqlm", "DEF")
_OPERATIONS.define("linear(Tensor x, Tensor codes, Tensor codebooks, Tensor scales, Tensor? bias) -> Tensor")
_OPERATIONS.impl("linear", _linear, "CPU")
product: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor | None], Tensor] = torch.ops.qharness_aqlm.linear.default
"""f(x, codes, codebooks, scales, bias) maps x [..., in] to [..., out], all in float32 on a CPU; it has no gradient."""
