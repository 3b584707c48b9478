"""Tests for paired pass/fail results: pooled pairs as the papers test them, and problems as clusters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from qharness.results.paired_results import Clustered, Detectable, McNemar
from qharness.stats.intervals import LEVEL, RESAMPLES, TIE, all_equal, mean_interval, rows_at_a_time

POWER = 0.8
DETECTABLE = Detectable(LEVEL, POWER)
"""Of smallest_detectable_difference."""


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """The exact McNemar test (McNemar 1947) on bool [pairs] each, two-sided; without discordant pairs p is 1."""
    from scipy.special import bdtr

    b = int(np.sum(first & ~second))
    c = int(np.sum(~first & second))
    return McNemar(min(1.0, 2 * float(bdtr(min(b, c), b + c, 0.5))), b, c)


def clustered(differences: NDArray[np.float64], rng: np.random.Generator) -> Clustered:
    """Test and bound the mean of `differences` float64 [problems]: a problem's pass rate in one run less the other's.

    The p-value is that of sign_flip_p_values, the interval that of mean_interval. Both are NaN for fewer than two.
    """
    p_value = float(sign_flip_p_values(differences[None], rng)[0])
    interval = mean_interval(differences, rng)
    return Clustered(p_value, (interval.low, interval.high))


def sign_flip_p_values(differences: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Paired permutation tests of a mean of zero, two-sided: float64 [experiments, problems] -> [experiments].

    Signs of whole problems are flipped: all patterns where there are at most 9,999 of them, else as many random ones,
    the same for each experiment, and the one observed (Phipson and Smyth 2010). 1 where all differences are zero; NaN
    for fewer than two problems.
    """
    experiments, n = differences.shape
    if n < 2:
        return np.full(experiments, math.nan)
    exact = 2**n <= RESAMPLES
    least = np.abs(differences.sum(axis=1)) - TIE * np.abs(differences).sum(axis=1)
    extreme = np.zeros(experiments) if exact else np.ones(experiments)
    for signs in _sign_patterns(n) if exact else _random_signs(n, rng):
        extreme += np.sum(np.abs(signs @ differences.T) >= least, axis=0)
    return extreme / (2**n if exact else RESAMPLES + 1)


def _sign_patterns(n: int) -> Iterator[NDArray[np.float64]]:
    yield np.array(list(itertools.product((-1.0, 1.0), repeat=n)))


def _random_signs(n: int, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """RESAMPLES rows of signs, some at a time: float64 [rows, n]."""
    for rows in rows_at_a_time(n):
        yield rng.choice([-1.0, 1.0], size=(rows, n))


def smallest_detectable_difference(differences: NDArray[np.float64]) -> float:
    """The least mean difference that a paired test of these problems finds with power 0.8 at level 0.05, two-sided.

    (z_0.975 + z_0.8) s / sqrt(n), the normal approximation for a paired mean, of `differences` float64 [problems]. NaN
    for fewer than two problems, and where all differences are equal, which says nothing of their variance.
    """
    from scipy.special import ndtri

    n = len(differences)
    if n < 2 or all_equal(differences):
        return math.nan
    spread = float(np.std(differences, ddof=1))
    return float((ndtri(1 - LEVEL / 2) + ndtri(POWER)) * spread / math.sqrt(n))
