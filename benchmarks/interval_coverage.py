"""How often the 95% interval of a difference in pass@1 holds the true one, with and without common random numbers.

    python benchmarks/interval_coverage.py [--sizes 42x20 164x1] [--loss 0.1] [--shift 0.2] [--experiments N] [--seed 0]

A problem's pass probability p is drawn from Beta(0.35, 0.65). The second model's is p - loss + a coin's shift, within 0
and 1; the true difference is the mean of what that takes, over a million problems. A sample passes where a uniform
number lies below its probability. `common`: sample i of both models has one number; `half`: so has every other sample;
`independent`: each has its own. Each experiment is compared as `qharness compare` does. Prints the share of intervals
that hold the true difference, with its standard error; their median width; the median of the smallest detectable
difference, and what it should be: 2.8 (z_0.975 + z_0.8) standard deviations of the estimates over all experiments.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np
from false_positives import ABILITY, Size, error
from numpy.typing import NDArray
from scipy import stats

from qharness.stats.intervals import LEVEL, mean_interval
from qharness.stats.paired import POWER, smallest_detectable_difference

SHARED = {"common": 1, "half": 2, "independent": math.inf}
"""Every how many samples' numbers are shared."""
_TIMES = stats.norm.ppf(1 - LEVEL / 2) + stats.norm.ppf(POWER)
_TRUTH = 1_000_000  # problems drawn for the true difference


@dataclass(frozen=True)
class Models:
    """Two models: the second's probability is lower by `loss`, and higher or lower by `shift`."""

    loss: float
    shift: float

    def chances(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
        """Pass probabilities of problems, float64 [2, *shape]."""
        first = rng.beta(*ABILITY, size=shape)
        second = first - self.loss + rng.choice([-1.0, 1.0], size=shape) * self.shift
        return np.stack([first, second.clip(0, 1)])

    def difference(self, rng: np.random.Generator) -> float:
        """The true mean of the second's probability less the first's."""
        first, second = self.chances((_TRUTH,), rng)
        return float((second - first).mean())


def draw_differences(
    models: Models, size: Size, every: float, experiments: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Differences of problems' pass rates, float64 [experiments, problems]; sample 0, `every`, ... share numbers."""
    chances = models.chances((experiments, size.problems), rng)[..., None]
    numbers = rng.random((2, experiments, size.problems, size.samples), dtype=np.float32)
    if every < math.inf:
        numbers[1, ..., :: int(every)] = numbers[0, ..., :: int(every)]
    first, second = (numbers < chances).mean(axis=3)
    return second - first


def coverage(differences: NDArray[np.float64], truth: float, rng: np.random.Generator) -> tuple[float, float]:
    """The share of experiments whose interval holds the truth, and the intervals' median width."""
    intervals = [mean_interval(each, rng) for each in differences]
    held = [each.low <= truth <= each.high for each in intervals]
    return float(np.mean(held)), float(np.median([each.high - each.low for each in intervals]))


def detectable(differences: NDArray[np.float64]) -> float:
    """The median of the experiments' smallest detectable difference."""
    return float(np.nanmedian([smallest_detectable_difference(each) for each in differences]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=Size.parse, nargs="+", default=[Size(42, 20), Size(164, 1)])
    parser.add_argument("--loss", type=float, default=0.1)
    parser.add_argument("--shift", type=float, default=0.2)
    parser.add_argument("--experiments", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    models = Models(options.loss, options.shift)
    truth = models.difference(rng)
    print(f"true difference: {100 * truth:+.2f} points")
    print("| problems x samples | random numbers | coverage | width | detectable | 2.8 standard deviations |")
    print("|---|---|---|---|---|---|")
    for size in options.sizes:
        for name, every in SHARED.items():
            if name == "half" and size.samples == 1:
                continue
            differences = draw_differences(models, size, every, options.experiments, rng)
            held, width = coverage(differences, truth, rng)
            errors = _TIMES * differences.mean(axis=1).std(ddof=1)
            share = f"{100 * held:.1f}% ± {error(held, options.experiments):.1f}"
            points = " | ".join(f"{100 * each:.1f}" for each in (width, detectable(differences), errors))
            print(f"| {size} | {name} | {share} | {points} |", flush=True)


if __name__ == "__main__":
    main()
