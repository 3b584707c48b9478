"""How often each of `compare`'s two tests calls a difference real that is none, under two meanings of "none".

    python benchmarks/false_positives.py [--sizes 42x20 161x20 161x1] [--shift 0.2] [--experiments 2000] [--seed 0]

A problem's pass probability is drawn from Beta(0.35, 0.65): many problems are nearly always or never solved, and the
mean is 0.35. `equal`: both models have that probability. `shifted`: the second model's is higher or lower, by a coin,
by `--shift` or by as much as stays within 0 and 1; over problems like these the mean is the same. All samples are drawn
independently. Prints the share of experiments with p < 0.05, which should be 5% or less, and its standard error.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qharness.stats.intervals import LEVEL
from qharness.stats.paired import mcnemar, sign_flip_p_values

ABILITY = (0.35, 0.65)  # of Beta


@dataclass(frozen=True)
class Size:
    """Problems, and samples of each."""

    problems: int
    samples: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """From `42x20`."""
        problems, samples = text.split("x")
        return cls(int(problems), int(samples))

    def __str__(self) -> str:
        return f"{self.problems} x {self.samples}"


@dataclass(frozen=True)
class FalsePositives:
    """Shares of experiments in which each test was significant."""

    pooled: float
    clustered: float


def draw(size: Size, shift: float, experiments: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """What passed: bool [2 models, experiments, problems, samples]; both models' mean over problems is the same."""
    first = rng.beta(*ABILITY, size=(experiments, size.problems))
    room = np.minimum(shift, np.minimum(first, 1 - first))
    second = first + rng.choice([-1.0, 1.0], size=first.shape) * room
    chances = np.stack([first, second]).astype(np.float32)[..., None]
    return rng.random((*chances.shape[:-1], size.samples), dtype=np.float32) < chances


def false_positives(size: Size, shift: float, experiments: int, rng: np.random.Generator) -> FalsePositives:
    """Draw experiments and test each in both ways."""
    first, second = draw(size, shift, experiments, rng)
    pooled = [mcnemar(a.ravel(), b.ravel()).p_value < LEVEL for a, b in zip(first, second, strict=True)]
    differences = second.mean(axis=2) - first.mean(axis=2)
    by_problem = sign_flip_p_values(differences, rng) < LEVEL
    return FalsePositives(float(np.mean(pooled)), float(np.mean(by_problem)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=Size.parse, nargs="+", default=[Size(42, 20), Size(161, 20), Size(161, 1)])
    parser.add_argument("--shift", type=float, default=0.2)
    parser.add_argument("--experiments", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    print("| problems x samples | models | pooled pairs | by problem |\n|---|---|---|---|")
    for size in options.sizes:
        for null, shift in (("equal", 0.0), ("shifted", options.shift)):
            found = false_positives(size, shift, options.experiments, rng)
            shares = (f"{100 * p:.1f}% ± {error(p, options.experiments):.1f}" for p in (found.pooled, found.clustered))
            print(f"| {size} | {null} | {' | '.join(shares)} |", flush=True)


def error(share: float, experiments: int) -> float:
    """Standard error of a share, in percent."""
    return 100 * math.sqrt(share * (1 - share) / experiments)


if __name__ == "__main__":
    main()
