"""AQLM on one layer: finds codes, codebooks, scales that change its output least (Egiazarian et al. 2024, section 3).

The objective is the error of the layer's output on the calibration set, ||(W - What) X||^2, which is
tr((W - What) H (W - What)^T) with H = X^T X. K-means gives the first codebooks, GPTQ the first codes; then codebooks,
scales and codes are improved in turn until a round gains less than the tolerance, and the best state is returned.
Codebooks and scales are solved for, where the authors' code trains them with Adam.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from qharness.plugins.aqlm.beam import beam_search
from qharness.plugins.aqlm.bit_allocation import Shape
from qharness.plugins.aqlm.gptq_init import gptq_codes
from qharness.plugins.aqlm.kmeans import kmeans, nearest
from qharness.plugins.aqlm.least_squares import decode, layer_error, solve_codebooks, solve_scales
from qharness.plugins.aqlm.thread_pool import ThreadPool, thread_pool
from qharness.plugins.aqlm.weight import QuantizedWeight

_LEAST_SCALE = 1e-9


@dataclass(frozen=True)
class Search:
    """How long the search for codes lasts. `tolerance`: the search ends with a round of a smaller relative gain."""

    beam: int = 1
    tolerance: float = 0.01
    rounds: int = 20
    solver_steps: int = 5


@dataclass(frozen=True)
class LayerResult:
    """A quantized weight, and ||(W - What) X||^2 / ||W X||^2 after each round; the last is the weight's own."""

    weight: QuantizedWeight
    errors: tuple[float, ...]


@dataclass(frozen=True)
class _State:
    codebooks: Tensor
    codes: Tensor
    scales: Tensor

    def error(self, weight: Tensor, xtx: Tensor) -> float:
        return layer_error(weight, decode(self.codebooks, self.codes) * self.scales[:, None], xtx)


def quantize_layer(
    weight: Tensor,
    xtx: Tensor,
    shape: Shape,
    generator: torch.Generator,
    search: Search = Search(),
    dtype: torch.dtype | None = None,
) -> LayerResult:
    """Quantize `weight` [out, in] for inputs with X^T X `xtx` [in, in], up to a factor; computed in float32.

    `dtype`, by default the weight's, is that of the result's codebooks and scales. `shape.group` must divide in. An
    `xtx` of zeros (the layer had no inputs) counts as the identity. `generator` is always on the CPU.
    """
    dtype = dtype or weight.dtype
    weight, xtx = weight.float(), xtx.float()
    if not bool(xtx.diagonal().any()):
        xtx = torch.eye(len(xtx), device=xtx.device)
    xtx = xtx / xtx.diagonal().mean()
    groups = weight.shape[1] // shape.group
    blocks = xtx.view(groups, shape.group, groups, shape.group)
    metrics = blocks.diagonal(dim1=0, dim2=2).permute(2, 0, 1).contiguous()
    whole = layer_error(weight, torch.zeros_like(weight), xtx) or 1.0

    with thread_pool(weight.device) as pool:
        best = _initial_state(weight, xtx, metrics, shape, generator, pool)
        least = best.error(weight, xtx)
        errors = [least / whole]
        for _ in range(search.rounds):
            state = _improve(best, weight, xtx, metrics, generator, search, pool)
            error = state.error(weight, xtx)
            enough = not error < least * (1 - search.tolerance)
            if error < least:
                best, least = state, error
            errors.append(least / whole)
            if enough:
                break
    return LayerResult(_packed(best, dtype), tuple(errors))


def _initial_state(
    weight: Tensor, xtx: Tensor, metrics: Tensor, shape: Shape, generator: torch.Generator, pool: ThreadPool
) -> _State:
    """Run k-means for each codebook on what the codebooks before left; take the better of its codes and GPTQ's."""
    rows, groups = len(weight), len(metrics)
    scales = weight.square().mean(1).sqrt().clamp_min(_LEAST_SCALE)
    points = (weight / scales[:, None]).view(rows, groups, shape.group).transpose(0, 1).contiguous()  # [J, out, g]
    codebooks, codes = [], []
    for _ in range(shape.codebooks):
        codebook = kmeans(points, scales.square(), metrics, 1 << shape.nbits, generator, pool)
        codes.append(nearest(points, codebook, metrics, pool).t())
        points = points - codebook[codes[-1].t()]
        codebooks.append(codebook)
    books = torch.stack(codebooks)
    states = [
        _State(books, torch.stack(codes, -1), scales),
        _State(books, gptq_codes(weight, xtx, books, scales, pool), scales),
    ]
    return min(states, key=lambda state: state.error(weight, xtx))


def _improve(
    state: _State,
    weight: Tensor,
    xtx: Tensor,
    metrics: Tensor,
    generator: torch.Generator,
    search: Search,
    pool: ThreadPool,
) -> _State:
    """Run one round: solve for the codebooks, then for the scales, then search for codes."""
    codebooks = solve_codebooks(weight, xtx, metrics, state.codebooks, state.codes, state.scales, search.solver_steps)
    scales = solve_scales(weight, xtx, codebooks, state.codes)
    scales = torch.where(scales.abs() < _LEAST_SCALE, _LEAST_SCALE, scales)  # the search divides by them
    codes = beam_search(weight, xtx, codebooks, state.codes, scales, generator, search.beam, pool)
    return _State(codebooks, codes, scales)


def _packed(state: _State, dtype: torch.dtype) -> QuantizedWeight:
    return QuantizedWeight.from_indices(
        state.codebooks[:, :, None].to(dtype), state.codes, state.scales.view(-1, 1, 1, 1).to(dtype)
    )
