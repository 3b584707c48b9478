"""Comparisons of the runs of a table, with p-values adjusted over that table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FinishedRun
from qharness.results import Comparison, McNemar
from qharness.stats.adjustment import Compared, ComparedBy, adjust

Pair = tuple[FinishedRun, FinishedRun | None]
"""A run and the run it is compared with; None stands for full precision."""


@dataclass(frozen=True)
class AdjustedComparison:
    """A comparison with another run (`a`), its test of pooled pairs, and that p-value adjusted over a table."""

    comparison: Comparison
    test: McNemar
    adjusted: float


def compare_runs(
    collection: Collection, pairs: Iterable[Pair], kind: ComparedBy
) -> dict[FinishedRun, AdjustedComparison]:
    """The comparison of each pair of runs of programs, by the pair's first run.

    Pairs without anything to compare with are left out.
    """
    comparisons: dict[FinishedRun, tuple[Comparison, McNemar]] = {}
    for run, other in pairs:
        comparison = collection.compare(other, run) if other else collection.comparison(run)
        if comparison and comparison.paper:
            comparisons[run] = comparison, comparison.paper
    families = [_family(collection, run, kind) for run in comparisons]
    p_values = [test.p_value for _, test in comparisons.values()]
    adjusted = adjust(list(zip(families, p_values, strict=True)))
    return {run: AdjustedComparison(*each, p) for (run, each), p in zip(comparisons.items(), adjusted, strict=True)}


def _family(collection: Collection, run: FinishedRun, kind: ComparedBy) -> tuple[str, ...] | None:
    """The comparisons whose p-values are adjusted together with this run's share this key."""
    return Compared(kind, collection.labels.model(run), run.language, run.checkpoint or run.quant).family


def difference(collection: Collection, run: FinishedRun, metric: str) -> float | None:
    """A metric less full precision's, whose run may be elsewhere; None where there is nothing to compare with."""
    baseline = collection.baseline_of(run)
    if baseline is not None:
        return run.metrics.get(metric, math.nan) - baseline.metrics.get(metric, math.nan)
    means = run.baseline.means.get(metric) if run.baseline else None
    return means.difference if means else None
