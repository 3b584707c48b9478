"""Bootstrap intervals over problems."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qharness.metrics import pass_at_k

RESAMPLES = 9999
LEVEL = 0.05
TIE = 1e-12  # what differs by less than this part is equal
_NUMBERS_AT_A_TIME = 1 << 19


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95% interval; NaN where undefined."""

    value: float
    low: float
    high: float


def all_equal(values: NDArray[np.float64]) -> bool:
    """Whether values, float64 [n >= 1], differ by no more than rounding."""
    return bool(np.ptp(values) <= TIE * np.abs(values).max())


def mean_interval(values: NDArray[np.float64], rng: np.random.Generator) -> Interval:
    """The mean of `values` float64 [problems] and its percentile bootstrap (Efron 1979), drawn with replacement.

    The bounds are NaN for fewer than two problems and where all are equal, which says nothing of their spread. The
    mean is NaN for no problems and where a value is NaN.
    """
    value = float(values.mean()) if len(values) else math.nan
    if len(values) < 2 or math.isnan(value) or all_equal(values):
        return Interval(value, math.nan, math.nan)
    low, high = np.quantile(_resampled_means(values, rng), (LEVEL / 2, 1 - LEVEL / 2))
    return Interval(value, float(low), float(high))


def _resampled_means(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """The means of RESAMPLES samples of `values`, some drawn at a time: the draws of scipy's `bootstrap`.

    That one comes with `scipy.stats`, which takes half a second to import: an eighth of a report.
    """
    n = len(values)
    draws = (rng.integers(0, n, (rows, n)) for rows in rows_at_a_time(n))
    return np.concatenate([values[drawn].mean(axis=1) for drawn in draws])


def rows_at_a_time(n: int) -> Iterator[int]:
    """Part RESAMPLES rows of n numbers each into as many at a time as fit the cache of a processor."""
    rows = max(1, _NUMBERS_AT_A_TIME // n)
    return (min(rows, RESAMPLES - start) for start in range(0, RESAMPLES, rows))


def pass_at_k_interval(passed_by_problem: Sequence[NDArray[np.bool_]], k: int, rng: np.random.Generator) -> Interval:
    """pass@k, the mean over problems, from bool [samples] of each problem, with its interval over problems.

    All NaN where any problem has fewer than `k` samples.
    """
    estimates = [pass_at_k(len(passed), int(np.sum(passed)), k) for passed in passed_by_problem]
    return mean_interval(np.array(estimates, dtype=np.float64), rng)
