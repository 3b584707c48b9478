"""K-means over groups of weights, with the error of the layer's output as the metric.

A layer's error is tr((W - What) H (W - What)^T) with H = X^T X. Input group j of width g alone contributes
s^2 (p - c)^T D_j (p - c), where D_j is the g x g block of H on its diagonal, s the row's scale, p the group's weights
over s and c their replacement. So each group has a metric of its own, and a centroid solves a g x g system.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from qharness.plugins.aqlm.thread_pool import SERIAL, ThreadPool

_BLOCK_VALUES = 1 << 18  # scores computed at a time: 1 MB, which stay in cache
_TOLERANCE = 0.01
_STEPS = 20
_RIDGE = 1e-6


def best_codes(targets: Tensor, codebook: Tensor, offset: Tensor) -> Tensor:
    """Return the argmax over k of <targets[i], codebook[k]> + offset[k].

    targets [n, g]; codebook [K, g], K a power of two; offset [K]. Returns int64 [n]. With offset = -|codebook|^2 / 2
    it is the nearest entry. Among equal scores, any one is returned.
    """
    if targets.device.type != "cpu":
        step = max(_BLOCK_VALUES // len(codebook), 64)
        return torch.cat([torch.addmm(offset, part, codebook.t()).argmax(1) for part in targets.split(step)])
    left = torch.cat([targets, targets.new_ones(len(targets), 1)], 1)  # 1 times the offset: addmm would copy offsets
    right = torch.cat([codebook, offset[:, None]], 1).t().contiguous()
    found = np.empty(len(targets), dtype=np.int64)
    step = max(_BLOCK_VALUES // len(codebook), 64)
    for start in range(0, len(targets), step):
        scores = left[start : start + step] @ right
        np.argmax(scores.numpy(), axis=1, out=found[start : start + step])  # ten times as fast as PyTorch's
    return torch.from_numpy(found)


def quadratic_offsets(codebook: Tensor, metric: Tensor) -> Tensor:
    """Return -c^T D c / 2 [K] for each entry c of `codebook` [K, g]; metric D [g, g]."""
    return -0.5 * ((codebook @ metric) * codebook).sum(1)


def one_hot_sum(codes: Tensor, weights: Tensor, size: int) -> Tensor:
    """Return sparse CSR [size, n] with weights[i] in row codes[i], column i. codes int64 [n]; weights [n]."""
    counts = torch.bincount(codes, minlength=size)
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    order = codes.argsort(stable=True)
    return sparse_rows(starts, order, weights[order], (size, len(codes)))


def sparse_rows(starts: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return sparse CSR whose row i has values[starts[i]:starts[i + 1]] at their columns; repeated ones add up."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support")  # that it is beta
        matrix: Tensor = torch.sparse_csr_tensor(starts, columns, values, size=shape, check_invariants=False)
    return matrix


def solve_blocks(systems: Tensor, right: Tensor) -> Tensor:
    """Solve systems[k] x[k] = right[k], each symmetric and positive semidefinite. [K, g, g], [K, g] -> [K, g]."""
    size = systems.diagonal(dim1=1, dim2=2).mean(1)
    ridge = _RIDGE * size + torch.where(size > 0, 0.0, 1.0)
    eye = torch.eye(systems.shape[-1], dtype=systems.dtype, device=systems.device)
    solution: Tensor = torch.linalg.solve(systems + ridge[:, None, None] * eye, right)
    return solution


def kmeans(
    points: Tensor,
    weights: Tensor,
    metrics: Tensor,
    size: int,
    generator: torch.Generator,
    pool: ThreadPool = SERIAL,
) -> Tensor:
    """Run Lloyd's algorithm from random points, until a step lowers the error by less than a hundredth.

    points [J, n, g]; weights [n], of the points at the same place in every group; metrics [J, g, g]. Returns centroids
    [size, g]; if there are fewer points than that, all points and zeros.
    """
    groups, count, width = points.shape
    flat = points.reshape(-1, width)
    chosen = torch.randperm(len(flat), generator=generator)[:size].to(flat.device)
    centroids = torch.nn.functional.pad(flat[chosen], (0, 0, 0, size - len(chosen)))
    if len(flat) <= size:
        return centroids
    pull = (points @ metrics) * weights[:, None]
    repeated = weights.repeat(groups)
    group_of = torch.arange(groups, device=flat.device).repeat_interleave(count)
    previous = float("inf")
    for _ in range(_STEPS):
        codes = nearest(points, centroids, metrics, pool).view(-1)
        rest = points - centroids[codes].view_as(points)
        error = float((((rest @ metrics) * rest).sum(2) @ weights).sum())
        if not error < previous * (1 - _TOLERANCE):
            break
        previous = error
        members = one_hot_sum(codes, repeated, size)
        systems = spread_metrics(members, group_of, metrics)
        moved = solve_blocks(systems, one_hot_sum(codes, torch.ones_like(repeated), size) @ pull.reshape(-1, width))
        occupied = members.crow_indices().diff() > 0
        centroids = torch.where(occupied[:, None], moved, centroids)
    return centroids


def nearest(points: Tensor, centroids: Tensor, metrics: Tensor, pool: ThreadPool = SERIAL) -> Tensor:
    """Find the nearest centroid to each point in its group's metric: int64 [J, n]."""

    def of_group(group: int) -> Tensor:
        metric = metrics[group]
        return best_codes(points[group] @ metric, centroids, quadratic_offsets(centroids, metric))

    return torch.stack(pool.map(of_group, range(len(points))))


def spread_metrics(members: Tensor, group_of: Tensor, metrics: Tensor) -> Tensor:
    """Return for each code the sum of members' weight times D of their group: [K, g, g].

    members: CSR [K, n]; group_of: int64 [n], the group a column belongs to; metrics [J, g, g].
    """
    groups, width, _ = metrics.shape
    columns, shape = group_of[members.col_indices()], (members.shape[0], groups)
    by_group = sparse_rows(members.crow_indices(), columns, members.values(), shape)
    total: Tensor = by_group @ metrics.reshape(groups, -1)
    return total.view(-1, width, width)
