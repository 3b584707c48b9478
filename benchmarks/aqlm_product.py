"""Milliseconds of one layer in AQLM's form, looked up, beside a plain Linear of the same shape.

    python benchmarks/aqlm_product.py [--layer 1536x576] [--codebooks 2] [--bits 10] [--rows 1 4 8 16 48]

Sixty layers take turns, so that a plain Linear's weights come from memory, as in a model; medians of fifteen rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from qharness.models.onednn_linear import onednn_linear
from qharness.plugins.aqlm.code_lookup import select_kernels
from qharness.plugins.aqlm.weight import AqlmLinear
from tests.aqlm_models import random_weight

LAYERS, ROUNDS = 60, 15


def milliseconds(layers: Sequence[Callable[[torch.Tensor], torch.Tensor]], x: torch.Tensor) -> float:
    times = []
    for _ in range(ROUNDS + 1):
        start = time.perf_counter()
        for layer in layers:
            layer(x)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]) / len(layers) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layer", default="1536x576", help="outputs x inputs")
    parser.add_argument("--codebooks", type=int, default=2)
    parser.add_argument("--bits", type=int, default=10)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 4, 8, 16, 48])
    arguments = parser.parse_args()
    out, width = map(int, arguments.layer.split("x"))
    draw = torch.Generator().manual_seed(0)
    coded = nn.ModuleList(
        AqlmLinear(random_weight(out, width, arguments.codebooks, arguments.bits, 8, draw)) for _ in range(LAYERS)
    )
    plain = [nn.Linear(width, out, bias=False) for _ in range(LAYERS)]
    print(f"{arguments.layer}: {select_kernels(coded, 0)}, {torch.get_num_threads()} threads")
    with torch.inference_mode(), onednn_linear():
        for rows in arguments.rows:
            x = torch.randn(rows, width, generator=draw)
            ours, theirs = milliseconds(list(coded), x), milliseconds(plain, x)
            print(f"{rows:3} rows: looked up {ours:.3f}, Linear {theirs:.3f}, {ours / theirs:.2f}", flush=True)


if __name__ == "__main__":
    main()
