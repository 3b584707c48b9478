"""How often the verdict is wrong, and how often it can tell, where the true loss is known.

    python benchmarks/verdict_errors.py [--sizes 42x20 161x20 164x1 500x20] [--max-loss 2] [--experiments 4000]

A problem's pass probability in full precision is drawn from Beta(0.35, 0.65): many problems are nearly always or never
solved, and the mean is 0.35. A quantized model that loses L of that, on average over such problems, does so in one of
three ways. `spread`: every problem loses the same share of its probability. `broken`: a share of the problems is never
solved any more, and the others are as before. `uneven`: as spread, and on each problem the probability is up to 0.2
higher or lower besides, by a coin. Pair i of a problem shares its random numbers with probability 0.7, as completions
drawn with common random numbers do.

Prints, at a true loss of the margin, how often the verdict is *holds* and *loses*, which both should be at most 5%, and
beside it how often Student's t on the same differences would say holds; then how often it is *holds* at no loss and
*loses* at 20 points. Standard errors are those of the share of experiments.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from false_positives import ABILITY, Size
from numpy.typing import NDArray
from scipy import stats

from qharness.results.paired_results import PairedCounts
from qharness.specs import MaxLoss
from qharness.stats.intervals import LEVEL
from qharness.stats.non_inferiority import LossEvidence

MEAN = ABILITY[0] / sum(ABILITY)
SHARED = 0.7  # of the pairs
UNEVEN = 0.2
LARGE = 0.2  # a loss that should be seen
Rates = NDArray[np.float64]


def spread(full: Rates, loss: float, rng: np.random.Generator) -> Rates:
    return full * (1 - loss / MEAN)


def broken(full: Rates, loss: float, rng: np.random.Generator) -> Rates:
    return np.where(rng.random(full.shape) < loss / MEAN, 0.0, full)


def uneven(full: Rates, loss: float, rng: np.random.Generator) -> Rates:
    lost = spread(full, loss, rng)
    return lost + rng.choice([-1.0, 1.0], size=full.shape) * np.minimum(UNEVEN, np.minimum(lost, 1 - lost))


WAYS: Mapping[str, Callable[[Rates, float, np.random.Generator], Rates]] = {
    "spread": spread,
    "broken": broken,
    "uneven": uneven,
}


def draw(size: Size, way: str, loss: float, rng: np.random.Generator) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """What passed in full precision and in the quantized model, bool [problems, samples] each."""
    full = rng.beta(*ABILITY, size=size.problems)
    quantized = WAYS[way](full, loss, rng)
    shape = (size.problems, size.samples)
    first = rng.random(shape)
    second = np.where(rng.random(shape) < SHARED, first, rng.random(shape))
    return first < full[:, None], second < quantized[:, None]


def evidence(
    first: NDArray[np.bool_], second: NDArray[np.bool_], margin: MaxLoss, drawn: NDArray[np.bool_] | None = None
) -> LossEvidence:
    """The evidence of these pairs; of those alone that were `drawn`, bool [problems, samples], if that is given."""
    there = np.ones_like(first) if drawn is None else drawn
    parts = (first & second, first & ~second, ~first & second, ~first & ~second)
    sums = np.stack([(part & there).sum(axis=1) for part in parts])[:, there.any(axis=1)]
    kinds, counts = np.unique(sums, axis=1, return_counts=True)
    return LossEvidence.of(
        [PairedCounts(*map(int, kind), problems=int(n)) for kind, n in zip(kinds.T, counts, strict=True)], margin
    )


def student_holds(first: NDArray[np.bool_], second: NDArray[np.bool_], margin: MaxLoss) -> bool:
    """Whether the upper bound by Student's t is at most the margin."""
    losses = first.mean(axis=1) - second.mean(axis=1)
    error = losses.std(ddof=1) / math.sqrt(len(losses))
    return bool(losses.mean() + stats.t.ppf(1 - LEVEL, len(losses) - 1) * error <= margin.fraction)


@dataclass(frozen=True)
class Shares:
    """Shares of experiments with each verdict."""

    holds: float
    loses: float
    student: float


def shares(size: Size, way: str, loss: float, margin: MaxLoss, experiments: int, rng: np.random.Generator) -> Shares:
    """Draw experiments and judge each."""
    counts = np.zeros(3)
    for _ in range(experiments):
        pairs = draw(size, way, loss, rng)
        found = evidence(*pairs, margin)
        counts += found.p_holds() <= LEVEL and not found.silent, found.p_loses() <= LEVEL, student_holds(*pairs, margin)
    return Shares(*(counts / experiments))


def percent(share: float, experiments: int) -> str:
    return f"{100 * share:.1f}% ± {100 * math.sqrt(share * (1 - share) / experiments):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = [Size(42, 20), Size(161, 20), Size(164, 1), Size(500, 20)]
    parser.add_argument("--sizes", type=Size.parse, nargs="+", default=sizes)
    parser.add_argument("--max-loss", type=float, default=2.0)
    parser.add_argument("--experiments", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, n, margin = np.random.default_rng(options.seed), options.experiments, MaxLoss(options.max_loss)
    verdicts = (
        "holds, at the margin",
        "by Student's t",
        "loses, at the margin",
        "holds, at no loss",
        "loses, at 20 points",
    )
    print(f"| problems x samples | loss | {' | '.join(verdicts)} |")
    print("|---" * (len(verdicts) + 2) + "|")
    for size in options.sizes:
        for way in WAYS:
            at, none, large = (shares(size, way, loss, margin, n, rng) for loss in (margin.fraction, 0.0, LARGE))
            found = (at.holds, at.student, at.loses, none.holds, large.loses)
            print(f"| {size} | {way} | {' | '.join(percent(share, n) for share in found)} |", flush=True)


if __name__ == "__main__":
    main()
