"""Finds the best codebooks and scales for given codes, by linear least squares."""

from __future__ import annotations

import torch
from torch import Tensor

from qharness.plugins.aqlm.kmeans import one_hot_sum, sparse_rows, spread_metrics

_ENOUGH = 1e-6


def decode(codebooks: Tensor, codes: Tensor) -> Tensor:
    """Return the weight [out, in] of codes [out, J, M] and codebooks [M, K, g], with every scale 1."""
    books, size, width = codebooks.shape
    offsets = torch.arange(0, books * size, size, device=codes.device)
    vectors = codebooks.reshape(-1, width)
    total = torch.nn.functional.embedding_bag((codes + offsets).reshape(-1, books), vectors, mode="sum")
    return total.view(len(codes), -1)


def layer_error(weight: Tensor, other: Tensor, xtx: Tensor) -> float:
    """Return tr((W - W') H (W - W')^T); weights [out, in], xtx H [in, in]."""
    rest = weight - other
    return float(((rest @ xtx) * rest).sum())


def solve_scales(weight: Tensor, xtx: Tensor, codebooks: Tensor, codes: Tensor) -> Tensor:
    """Find the scale [out] of each row at which the layer's error is least, for these codes and codebooks."""
    unit = decode(codebooks, codes)
    seen = unit @ xtx
    norm = (seen * unit).sum(1)
    return torch.where(norm > 0, (seen * weight).sum(1) / norm.clamp_min(torch.finfo(norm.dtype).tiny), 1.0)


def solve_codebooks(
    weight: Tensor, xtx: Tensor, metrics: Tensor, codebooks: Tensor, codes: Tensor, scales: Tensor, steps: int
) -> Tensor:
    """Find codebooks [M, K, g] at which the layer's error is least, for these codes and scales.

    What = S C, with S sparse [out*J, M*K] holding scales[o] at the codes of group (o, j), so the error is quadratic in
    C and its minimum solves S^T (S C H) = S^T (W H). Conjugate gradients from the codebooks given, preconditioned with
    the g x g blocks on the diagonal of that system, end after `steps`, or when the gradient has fallen a thousandfold.
    weight [out, in]; xtx H [in, in]; metrics [J, g, g]: the blocks on H's diagonal; codes int64 [out, J, M]; scales
    [out].
    """
    books, size, width = codebooks.shape
    rows, groups, _ = codes.shape
    flat = (codes + torch.arange(0, books * size, size, device=codes.device)).reshape(-1)
    per_code = scales.repeat_interleave(groups * books)
    starts = torch.arange(0, len(flat) + 1, books, device=flat.device)
    spread = sparse_rows(starts, flat, per_code, (rows * groups, books * size))
    by_code = one_hot_sum(flat, per_code, books * size)  # its columns count codes: M to a group
    begins, columns, values = by_code.crow_indices(), by_code.col_indices() // books, by_code.values()
    gather = sparse_rows(begins, columns, values, (books * size, rows * groups))  # spread transposed
    squared = sparse_rows(begins, columns, values.square(), (books * size, rows * groups))
    diagonal = spread_metrics(squared, torch.arange(groups, device=flat.device).repeat(rows), metrics)

    def back(rest: Tensor) -> Tensor:
        return gather @ (rest @ xtx).view(-1, width)  # [M*K, g]

    found = codebooks.reshape(-1, width)
    residual = back(weight - (spread @ found).view_as(weight))
    inverse = _inverse(diagonal)
    step = torch.bmm(inverse, residual[..., None])[..., 0]
    direction = step
    power = float((residual * step).sum())
    enough = _ENOUGH * power
    for _ in range(steps):
        image = back((spread @ direction).view_as(weight))
        curvature = float((direction * image).sum())
        if curvature <= 0 or power <= enough:
            break
        found = found + power / curvature * direction
        residual = residual - power / curvature * image
        step = torch.bmm(inverse, residual[..., None])[..., 0]
        previous, power = power, float((residual * step).sum())
        direction = step + power / previous * direction
    return found.view_as(codebooks)


def _inverse(blocks: Tensor) -> Tensor:
    """Invert each of `blocks` [n, g, g]; the inverse of a block of zeros is the identity."""
    eye = torch.eye(blocks.shape[-1], dtype=blocks.dtype, device=blocks.device)
    size = blocks.diagonal(dim1=1, dim2=2).mean(1)
    ridge = 1e-4 * size + torch.where(size > 0, 0.0, 1.0)
    inverse: Tensor = torch.linalg.inv(blocks + ridge[:, None, None] * eye)
    return inverse
