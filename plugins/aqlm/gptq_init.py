"""First codes by GPTQ: groups are quantized one after another, and each group's error is passed on to later groups.

Frantar et al. 2022 (GPTQ, arXiv 2210.17323) do this a column at a time for round-to-nearest. For vectors of g columns:
if all later columns of a row may still move freely, the error that group j's choice e costs is e^T D e with
D = (U_jj^T U_jj)^-1, U upper triangular, U^T U = H^-1, and the later columns' best answer to it is a shift by
-e U_jj^-1 U_j,later. AQLM itself starts from k-means' codes; its beam search ends lower from these.
"""

from __future__ import annotations

import torch
from torch import Tensor

from qharness.plugins.aqlm.kmeans import best_codes, quadratic_offsets
from qharness.plugins.aqlm.thread_pool import SERIAL, ThreadPool

_DAMPING = 0.01
_GROUPS_AT_ONCE = 16


def gptq_codes(weight: Tensor, xtx: Tensor, codebooks: Tensor, scales: Tensor, pool: ThreadPool = SERIAL) -> Tensor:
    """Choose codes int64 [out, J, M] for weight [out, in], xtx H [in, in], codebooks [M, K, g], scales [out]."""
    factor = inverse_factor(xtx)
    return pool.by_rows(
        lambda part: _quantize_groups(weight[part], factor, codebooks, scales[part]), len(weight), most=len(weight)
    )


def _quantize_groups(weight: Tensor, factor: Tensor, codebooks: Tensor, scales: Tensor) -> Tensor:
    """Choose the codes int64 [rows, J, M] of some rows, group after group; `factor` is U, upper triangular [in, in]."""
    books, _, width = codebooks.shape
    rows, columns = weight.shape
    groups = columns // width
    left = weight.clone()
    codes = torch.empty(rows, groups, books, dtype=torch.int64, device=weight.device)
    for first in range(0, groups, _GROUPS_AT_ONCE):
        last = min(first + _GROUPS_AT_ONCE, groups)
        inside = slice(first * width, last * width)
        block, shifts = left[:, inside], torch.empty_like(left[:, inside])
        for j in range(first, last):
            own = slice(j * width, (j + 1) * width)
            at = slice((j - first) * width, (j - first + 1) * width)
            inverse = torch.linalg.inv(factor[own, own])
            codes[:, j], value = _choose(block[:, at] / scales[:, None], codebooks, inverse @ inverse.t())
            shifts[:, at] = (block[:, at] - value * scales[:, None]) @ inverse
            block[:, at.stop :] -= shifts[:, at] @ factor[own, own.stop : inside.stop]
        left[:, inside.stop :] -= shifts @ factor[inside, inside.stop :]
    return codes


def _choose(target: Tensor, codebooks: Tensor, metric: Tensor) -> tuple[Tensor, Tensor]:
    """Choose codes [out, M] whose sum is near `target` [out, g] in `metric` [g, g]: greedily, twice. Returns both."""
    books = len(codebooks)
    offsets = [quadratic_offsets(codebook, metric) for codebook in codebooks]
    codes = torch.empty(len(target), books, dtype=torch.int64, device=target.device)
    value = torch.zeros_like(target)
    for sweep in range(min(books, 2)):
        for number, codebook in enumerate(codebooks):
            if sweep > 0:
                value = value - codebook[codes[:, number]]
            codes[:, number] = best_codes((target - value) @ metric, codebook, offsets[number])
            value = value + codebook[codes[:, number]]
    return codes, value


def inverse_factor(xtx: Tensor) -> Tensor:
    """Return U, upper triangular, with U^T U = (H + damping)^-1; damping is 1 % of H's mean diagonal, or more."""
    mean = xtx.diagonal().mean()
    eye = torch.eye(len(xtx), dtype=xtx.dtype, device=xtx.device)
    damping = _DAMPING
    while True:
        lower, failed = torch.linalg.cholesky_ex(xtx + damping * mean * eye)
        if not failed:
            upper: Tensor
            upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
        if not failed:
            return upper
        damping *= 10
