"""Bootstrap intervals over problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qharness.metrics import pass_at_k

RESAMPLES = 9999
LEVEL = 0.05
TIE = 1e-12  # what differs by less than this part is equal
AT_A_TIME = 1 << 19  # numbers drawn, which fit the cache of a processor


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
    from scipy import stats  # here, because it takes longer to import than most commands take

    found = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=1 - LEVEL,
        method="percentile",
        batch=max(1, AT_A_TIME // len(values)),
        rng=rng,
    ).confidence_interval
    return Interval(value, float(found.low), float(found.high))


def pass_at_k_interval(passed_by_problem: Sequence[NDArray[np.bool_]], k: int, rng: np.random.Generator) -> Interval:
    """pass@k, the mean over problems, from bool [samples] of each problem, with its interval over problems.

    All NaN where any problem has fewer than `k` samples.
    """
    estimates = [pass_at_k(len(passed), int(np.sum(passed)), k) for passed in passed_by_problem]
    return mean_interval(np.array(estimates, dtype=np.float64), rng)
