"""Orders runs by pass rate, where their paired difference is clear: the 95% interval by problem excludes 0."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qharness.stats.intervals import LEVEL, RESAMPLES

Problem = TypeVar("Problem", bound=Hashable)
_FEWEST = 6  # of fewer problems, a sign test never reaches LEVEL: 2 / 2^5 > 0.05


def clearly_higher(
    runs: Sequence[Mapping[Problem, float]], rng: np.random.Generator, resamples: int = RESAMPLES
) -> list[frozenset[int]]:
    """For each run, the numbers of the runs whose mean rate is clearly lower than its own.

    A run maps each problem to a rate. Two runs are compared on the problems that both have, by the percentile bootstrap
    of the mean difference (Efron 1979): all pairs of runs share the same `resamples` draws of problems. Runs that share
    fewer than six problems are not ordered.
    """
    problems = list(dict.fromkeys(problem for run in runs for problem in run))
    rates = np.array([[run.get(problem, np.nan) for problem in problems] for run in runs], dtype=np.float64)
    count = len(problems)
    if count < _FEWEST:
        return [frozenset() for _ in runs]
    chances = np.full(count, 1 / count)
    draws = rng.multinomial(count, chances, size=resamples).astype(np.float32)  # [resamples, problems]

    return [frozenset(np.flatnonzero(_lower(rates[n], rates, draws)).tolist()) for n in range(len(runs))]


def _lower(run: NDArray[np.float64], rates: NDArray[np.float64], draws: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which runs of `rates` float64 [runs, problems] are clearly lower than one float64 [problems]: bool [runs].

    `draws` float32 [resamples, problems] says how often each problem is in a resample.
    """
    differences = run - rates
    shared = ~np.isnan(differences)
    differences[~shared] = 0.0
    found: NDArray[np.bool_] = (shared.sum(axis=1) >= _FEWEST) & (differences.sum(axis=1) > 0)
    sums = draws @ differences[found].T.astype(np.float32)  # their sign is that of the means
    found[found] = np.quantile(sums, LEVEL / 2, axis=0) > 0
    return found
