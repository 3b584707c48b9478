"""AQLM on one layer: error and time beside a plain rendering of the published algorithm, on the same data.

    python benchmarks/aqlm_layer.py [--layers 1024x1024:2x8 ...] [--threads 2] [--no-peer]

The weight has correlated columns and log-normal row scales, its inputs a low-rank part and log-normal column scales.
Error is ||(W - What) X||^2 / ||W X||^2. The peer follows Egiazarian et al. 2024 (arXiv 2401.06118) with its authors'
settings: plain residual k-means, at most 100 steps, then rounds of 100 steps of Adam (lr 1e-4, betas 0 and 0.95,
amsgrad) on codebooks and scales and a sweep of beam search with a beam of 1, until a round gains less than a hundredth.
Seconds are of the wall and, in brackets, of the processor, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from qharness.plugins.aqlm.bit_allocation import Shape
from qharness.plugins.aqlm.layer import quantize_layer

GROUP = 8
LAYERS = ["1024x1024:1x8", "1024x1024:2x8", "1024x4096:2x8/1", "1024x1024:2x12/2"]


def make_layer(rows: int, columns: int, seed: int = 0, samples: int = 4096) -> tuple[Tensor, Tensor]:
    """W [rows, columns] float32, and X^T X / samples [columns, columns] float64 of inputs X [samples, columns]."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw)

    rank = columns // 8
    weight = normal(rows, rank) @ normal(rank, columns) * (0.5 / rank**0.5)
    weight += 0.5 * normal(rows, columns)
    weight = weight * torch.exp(0.3 * normal(rows, 1)) * 0.02
    draw = torch.Generator().manual_seed(seed + 1)
    rank = columns // 16
    basis, scale = normal(rank, columns), torch.exp(0.5 * normal(columns))
    xtx = torch.zeros(columns, columns, dtype=torch.float64)
    for _ in range(0, samples, 1024):
        x = (normal(1024, rank) @ basis / rank**0.5 + normal(1024, columns)) * scale
        xtx += (x.T @ x).double()
    return weight, xtx / samples


@dataclass(frozen=True)
class Timed:
    error: float
    wall: float
    processor: float


def timed(weight: Tensor, xtx: Tensor, work: Callable[[], Tensor]) -> Timed:
    wall, processor = time.perf_counter(), time.process_time()
    rest = weight - work()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    error = ((rest.double() @ xtx) * rest).sum() / ((weight.double() @ xtx) * weight).sum()
    return Timed(float(error), wall, processor)


# ------------------------------------------------------------------------------------------------------------ the peer


def peer_nearest(points: Tensor, centroids: Tensor) -> Tensor:
    step = (1 << 30) // len(centroids)
    norms = -0.5 * centroids.square().sum(1)
    return torch.cat([torch.addmm(norms, part, centroids.T).argmax(1) for part in points.split(step)])


def peer_kmeans(points: Tensor, size: int) -> Tensor:
    centroids = points[torch.randperm(len(points))[:size]]
    for step in range(100):
        codes = peer_nearest(points, centroids)
        moved = centroids.clone().index_reduce_(0, codes, points, "mean", include_self=False)
        if step % 10 == 0 and torch.allclose(moved, centroids, rtol=1e-6, atol=1e-8):
            break
        centroids = moved
    return centroids


def peer_decode(codebooks: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    books, size, width = codebooks.shape
    places = (codes + torch.arange(books) * size).view(-1, books)
    vectors = torch.nn.functional.embedding_bag(places, codebooks.reshape(-1, width), mode="sum")
    return (vectors.view(len(codes), -1, width) * scales[:, None, None]).flatten(1)


def peer_search(weight: Tensor, xtx: Tensor, codebooks: Tensor, codes: Tensor, scales: Tensor) -> Tensor:
    """A sweep over all groups, in random order, with one hypothesis a row; products with H are kept up to date."""
    rest = peer_decode(codebooks, codes, scales) - weight
    pull = rest @ xtx
    codes = codes.clone()
    for group in torch.randperm(codes.shape[1]).tolist():
        own = slice(group * GROUP, (group + 1) * GROUP)
        for book, codebook in enumerate(codebooks):
            old = codebook[codes[:, group, book]] * scales[:, None]
            without = pull[:, own] - old @ xtx[own, own]
            own_norms = ((codebook @ xtx[own, own]) * codebook).sum(1)
            cost = scales.square()[:, None] * own_norms + 2 * scales[:, None] * (without @ codebook.T)
            codes[:, group, book] = cost.argmin(1)
            pull += (codebook[codes[:, group, book]] * scales[:, None] - old) @ xtx[own]
    return codes


def peer(weight: Tensor, xtx: Tensor, shape: Shape, rounds: int) -> Tensor:
    rows = len(weight)
    scales = weight.norm(dim=1)
    rest = (weight / scales[:, None]).view(-1, GROUP)
    books, found = [], []
    for _ in range(shape.codebooks):
        books.append(peer_kmeans(rest, 1 << shape.nbits))
        found.append(peer_nearest(rest, books[-1]))
        rest = rest - books[-1][found[-1]]
    codes = torch.stack(found, -1).view(rows, -1, shape.codebooks)
    codebooks = torch.nn.Parameter(torch.stack(books))
    scales = torch.nn.Parameter(scales)
    optimizer = torch.optim.Adam([codebooks, scales], lr=1e-4, betas=(0.0, 0.95), amsgrad=True)
    best = float("inf")
    for _ in range(rounds):
        for step in range(100):
            wrong = (peer_decode(codebooks, codes, scales) - weight).double()
            loss = (wrong @ xtx).flatten() @ wrong.flatten() / rows
            if step == 0:
                if float(loss) > best * 0.99:
                    return peer_decode(codebooks, codes, scales).detach()
                best = min(best, float(loss))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            codes = peer_search(weight, xtx.float(), codebooks, codes, scales)
    return peer_decode(codebooks, codes, scales).detach()


# ---------------------------------------------------------------------------------------------------------------- both


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", nargs="+", default=LAYERS, help="OUTxIN:MxB, with /ROUNDS to end the peer early")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-peer", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for layer in options.layers:
        measure(layer, with_peer=not options.no_peer)


def measure(layer: str, with_peer: bool) -> None:
    text, _, rounds = layer.partition("/")
    (rows, columns), (books, nbits) = ([int(n) for n in part.split("x")] for part in text.split(":"))
    shape = Shape(books, nbits, GROUP)
    weight, xtx = make_layer(rows, columns)
    draw = torch.Generator().manual_seed(0)
    ours = timed(weight, xtx, lambda: quantize_layer(weight, xtx, shape, draw).weight.dequantize())
    print(f"{text}: error {ours.error:.4f} in {ours.wall:.1f} s ({ours.processor:.1f})", flush=True)
    if not with_peer:
        return
    torch.manual_seed(0)
    theirs = timed(weight, xtx, lambda: peer(weight, xtx, shape, int(rounds or 1000)))
    ratio = f"{ours.wall / theirs.wall:.3f} ({ours.processor / theirs.processor:.3f})"
    print(f"  the peer {theirs.error:.4f} in {theirs.wall:.1f} s ({theirs.processor:.1f}); ratio {ratio}", flush=True)


if __name__ == "__main__":
    main()
