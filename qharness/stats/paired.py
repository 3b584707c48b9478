"""Tests for paired pass/fail results: pooled pairs as the papers test them, and problems as clusters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

RESAMPLES = 9999
LEVEL = 0.05
POWER = 0.8


@dataclass(frozen=True)
class McNemar:
    """`b` pairs passed in the first only, `c` in the second only; `odds_ratio` is b / c."""

    b: int
    c: int
    p_value: float
    odds_ratio: float


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """The exact McNemar test (McNemar 1947) on bool [pairs] each, two-sided, with the conditional odds ratio b / c.

    Above 1, the first passes more often. Without discordant pairs p is 1 and there is no odds ratio (NaN); with
    c = 0 alone it is infinite.
    """
    b = int(np.sum(first & ~second))
    c = int(np.sum(~first & second))
    if b + c == 0:
        return McNemar(b, c, 1.0, math.nan)
    p_value = float(stats.binomtest(b, b + c, 0.5).pvalue)
    return McNemar(b, c, p_value, b / c if c else math.inf)


@dataclass(frozen=True)
class Clustered:
    """A permutation p-value and a bootstrap interval of the mean difference, problems being the clusters."""

    p_value: float
    ci95: tuple[float, float]


def clustered(differences: NDArray[np.float64], rng: np.random.Generator) -> Clustered:
    """Test and bound the mean of `differences` float64 [problems]: a problem's pass rate in one run less the other's.

    The p-value flips the signs of whole problems (a paired permutation test, two-sided; exact where there are few
    enough of them); the interval is the percentile bootstrap over problems. Both are NaN for fewer than two.
    """
    if len(differences) < 2:
        return Clustered(math.nan, (math.nan, math.nan))
    test = stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=RESAMPLES, vectorized=True, rng=rng
    )
    interval = stats.bootstrap(
        (differences,), np.mean, n_resamples=RESAMPLES, confidence_level=1 - LEVEL, method="percentile", rng=rng
    ).confidence_interval
    return Clustered(float(test.pvalue), (float(interval.low), float(interval.high)))


def smallest_detectable_difference(differences: NDArray[np.float64]) -> float:
    """The mean difference that this many problems, this variable, show with power 0.8 at level 0.05, two-sided.

    (z_0.975 + z_0.8) s / sqrt(n), the normal approximation for a paired mean. NaN for fewer than two problems, and
    where all differences are equal: nothing is known of their variance then.
    """
    n = len(differences)
    spread = float(np.std(differences, ddof=1)) if n > 1 else math.nan
    if not spread > 0:
        return math.nan
    return float((stats.norm.ppf(1 - LEVEL / 2) + stats.norm.ppf(POWER)) * spread / math.sqrt(n))
