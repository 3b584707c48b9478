"""Standard errors of a run's metrics, with problems as the clusters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from qharness.metrics import pass_at_k
from qharness.metrics.table import stage_and_k
from qharness.results import SampleRow
from qharness.stats.pairing import by_problem


def standard_error(values: Sequence[float]) -> float:
    """The standard error of the mean of `values`, one of each problem; NaN for fewer than two, and where one is NaN.

    Completions of one problem are not independent, and their mean is one value: this is the error of the mean that is
    clustered by problem (Miller 2024, "Adding Error Bars to Evals"), for as many samples of each problem.
    """
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def standard_errors(rows: Iterable[SampleRow], metrics: Iterable[str]) -> Mapping[str, float]:
    """The standard error of each metric of a run, by name; NaN of those that its rows do not hold."""
    problems = list(by_problem(rows).values())
    return {name: standard_error([_value(each, name) for each in problems]) for name in metrics}


def _value(rows: Sequence[SampleRow], metric: str) -> float:
    """A problem's value: of programs pass@k, of texts the mean of their scores."""
    if (of := stage_and_k(metric)) and all(row.passed is not None for row in rows):
        stage, k = of
        passed = sum(stage in (row.stages or ()) if stage else bool(row.passed) for row in rows)
        return pass_at_k(len(rows), passed, k)
    scores = [(row.metrics or {}).get(metric) for row in rows]
    return float(np.mean([math.nan if each is None else each for each in scores]))
