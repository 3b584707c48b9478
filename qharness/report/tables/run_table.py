"""Every run at hand with all that is known of it: what the page sorts and filters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from qharness.report.data.collection import Collection
from qharness.report.data.comparisons import judge
from qharness.report.data.finished_runs import PASS, FinishedRun
from qharness.report.data.labels import FULL_PRECISION
from qharness.report.tables.table import NOT_APPLICABLE, Cell, Column, Table, figure, stub
from qharness.stats.adjustment import ComparedBy
from qharness.stats.analyses import relative_decrease
from qharness.stats.intervals import Interval, mean_interval, pass_at_k_interval

_DIFFERENCE, _P, _HOSTING = "difference to full precision", "p", "hosting"
_SEED = 0  # of the bootstrap


def tables(collection: Collection) -> list[Table]:
    """Runs of programs, and runs of anything else."""
    return [*programs(collection), *others(collection)]


def programs(collection: Collection) -> list[Table]:
    """A row a run of programs, in the order of the collection's entries."""
    runs = [entry for entry in collection.entries if entry.counts_passes]
    judged = judge(collection, [(entry, None) for entry in runs], ComparedBy.PRECISION)
    rows = []
    for entry in runs:
        found = judged.get(entry)
        at_1 = pass_at_k_interval(list(entry.passed.values()), 1, np.random.default_rng(_SEED))
        document, adjusted = (found.document, found.adjusted) if found else (None, math.nan)
        rows.append(_row(collection, entry, PASS, at_1, document, adjusted))
    caption = (
        "A row a run; pass@1 in percent, its differences in points. Intervals are of 95%, by bootstrap over problems. "
        "p by problem: paired permutation test with problems as clusters; p pooled: exact McNemar test on all pairs, "
        "adjusted within model and language over this table (Benjamini-Hochberg). Relative: in percent of full "
        "precision's pass@1. Detectable: the smallest difference that this many problems, this variable, would show "
        "with probability 0.8 at level 0.05. Size: of the checkpoint as it would be written; latency and CO2 of 1,000 "
        "predictions: of profiles, where there are any. Left in full precision: of the parameters of the blocks, those "
        "that the quantizer did not touch."
    )
    return [Table("runs", "All runs", caption, _columns(PASS, "%"), tuple(rows))] if rows else []


def others(collection: Collection) -> list[Table]:
    """A table a metric: runs of texts, and of anything else that is no program, by their task's first metric."""
    runs: dict[str, list[FinishedRun]] = {}
    for entry in collection.entries:
        if entry.metrics and not entry.counts_passes:
            runs.setdefault(next(iter(entry.metrics)), []).append(entry)
    found = []
    for metric, entries in runs.items():
        rows = []
        for entry in entries:
            document = collection.comparison(entry) if entry.scores(metric) else None
            bounds = mean_interval(np.array(entry.scores(metric)), np.random.default_rng(_SEED))
            whole = Interval(entry.metrics[metric], bounds.low, bounds.high)
            rows.append(_row(collection, entry, metric, whole, document, math.nan))
        caption = (
            f"A row a run; {metric} and its differences. Intervals are of 95%, by bootstrap over documents. p by "
            "problem: paired permutation test; there are no pairs of passes to pool. The rest as in the table of runs."
        )
        found.append(Table(f"runs-{metric}", f"All runs by {metric}", caption, _columns(metric, ""), tuple(rows)))
    return found


def _columns(metric: str, unit: str) -> tuple[Column, ...]:
    points = "points" if unit else ""
    return (
        *stub("model", "quantizer", "calibration set", "task", "perturbation"),
        Column("seed"),
        Column("temperature"),
        Column("problems", "n"),
        Column("samples", "a problem"),
        Column(metric, unit, metric),
        Column("from", unit, metric),
        Column("to", unit, metric),
        Column(_DIFFERENCE, points, _DIFFERENCE),
        Column("from", points, _DIFFERENCE),
        Column("to", points, _DIFFERENCE),
        Column("relative", "%", _DIFFERENCE),
        Column("detectable", points, _DIFFERENCE),
        Column("by problem", "", _P),
        Column("pooled, adjusted", "", _P),
        Column("size", "MB", _HOSTING),
        Column("latency", "s", _HOSTING),
        Column("CO2 of 1,000", "g", _HOSTING),
        Column("left in full precision", "%", _HOSTING),
    )


def _row(
    collection: Collection,
    entry: FinishedRun,
    metric: str,
    score: Interval,
    document: Mapping[str, Any] | None,
    adjusted: float,
) -> tuple[Cell, ...]:
    """One run's cells, in the order of the columns."""
    scale = 100.0 if metric == PASS else 1.0
    names = (each for each in (entry.checkpoint, entry.quant) if each and each != "none")
    profile = collection.profile_of(entry)
    texts = (entry.model, ", ".join(names) or FULL_PRECISION, entry.calib or "", entry.task, entry.perturbation)
    return (
        *(Cell(text) for text in texts),
        figure(entry.seed, "d", 1),
        figure(entry.spec.temperature, "g"),
        figure(entry.n_problems or None, "d", 1),
        figure(entry.n_samples or None, "d", 1),
        *(figure(value, ".2f", scale) for value in (score.value, score.low, score.high)),
        *_compared(metric, document, scale),
        figure(adjusted, ".2g") if document and "paper" in document else NOT_APPLICABLE,
        figure(entry.storage_bytes, ".4g", 1e-6),
        figure((profile.get("latency_s") or {}).get("median"), ".3g"),
        figure(profile.get("gco2eq_per_1k"), ".3g"),
        NOT_APPLICABLE if entry.full else figure(entry.untouched, ".1f", 100.0),
    )


def _compared(metric: str, document: Mapping[str, Any] | None, scale: float) -> tuple[Cell, ...]:
    """The difference to full precision and how sure it is; dashes where there is nothing to compare with."""
    if document is None or metric not in document:
        return (NOT_APPLICABLE,) * 6
    rates = document[metric]
    low, high = rates["ci95"]
    return (
        *(figure(value, "+.2f", scale) for value in (rates["difference"], low, high)),
        figure(relative_decrease(rates["a"], rates["b"]), "+.1f"),
        figure(document["smallest_detectable_difference"], ".2f", scale),
        figure(document["clustered"]["p_value"], ".2g"),
    )
