"""Every collected run with all that is known of it: the table that the page sorts and filters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qharness.report.data.collection import Collection
from qharness.report.data.comparisons import compare_runs
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.data.labels import FULL_PRECISION
from qharness.report.tables.columns import NOT_APPLICABLE, Cell, CellColumn, Table, number, number_cell, stub, table_of
from qharness.report.tables.formatting import size_column
from qharness.results import Comparison, CostProfile
from qharness.results.paired_results import PASS_RATE
from qharness.stats.adjustment import ComparedBy
from qharness.stats.analyses import relative_decrease
from qharness.stats.intervals import Interval


@dataclass(frozen=True)
class _RunRow:
    """A run with its score, and the comparison with full precision and the profile, where there are any."""

    run: FinishedRun
    score: Interval
    comparison: Comparison | None
    adjusted: float
    profile: CostProfile | None


def tables(collection: Collection) -> list[Table]:
    """Runs of programs, and runs of anything else."""
    return [*programs(collection), *others(collection)]


def programs(collection: Collection) -> list[Table]:
    """A row for each run of programs, in the order of the collection."""
    runs = [run for run in collection.runs if run.counts_passes]
    compared = compare_runs(collection, [(run, None) for run in runs], ComparedBy.PRECISION)
    rows = []
    for run in runs:
        adjusted = compared[run].adjusted if run in compared else math.nan
        rows.append(_RunRow(run, run.score_interval, collection.comparison(run), adjusted, collection.profile_of(run)))
    caption = (
        "A row a run; pass@1 in percent, its differences in points. Intervals are of 95%, by bootstrap over problems. "
        "p by problem: paired permutation test with problems as clusters; p pooled: exact McNemar test on all pairs, "
        "adjusted within model and language over this table (Benjamini-Hochberg). Relative: in percent of full "
        "precision's pass@1. Detectable: the smallest difference that this many problems, this variable, would show "
        "with probability 0.8 at level 0.05. Common random numbers: where two runs do not share them, intervals hold "
        "the noise of both draws, and which samples are pairs is arbitrary. Size: of the checkpoint as it would be "
        "written; latency and CO2 of 1,000 predictions: of profiles, where there are any. Left in full precision: of "
        "the parameters of the blocks, those that the quantizer did not touch."
    )
    return table_of("runs", "All runs", caption, _columns(rows, PASS_RATE, "%", "points", 100), rows)


def others(collection: Collection) -> list[Table]:
    """A table for each metric: runs of texts, and of anything else that is no program, by their task's first metric."""
    by_metric: dict[str, list[_RunRow]] = {}
    for run in collection.runs:
        if run.metrics and not run.counts_passes:
            comparison = collection.comparison(run) if run.scores(run.metric) else None
            row = _RunRow(run, run.score_interval, comparison, math.nan, collection.profile_of(run))
            by_metric.setdefault(run.metric, []).append(row)
    caption = (
        "A row a run; {} and its differences. Intervals are of 95%, by bootstrap over documents. p by "
        "problem: paired permutation test; there are no pairs of passes to pool. The rest as in the table of runs."
    )
    return [
        table
        for metric, rows in by_metric.items()
        for table in table_of(
            f"runs-{metric}", f"All runs by {metric}", caption.format(metric), _columns(rows, metric, "", "", 1), rows
        )
    ]


def _columns(rows: Sequence[_RunRow], metric: str, unit: str, points: str, scale: float) -> list[CellColumn[_RunRow]]:
    """The columns; the metric is shown times `scale` in `unit`, its differences in `points`."""
    difference, hosting = "difference to full precision", "hosting"

    def compared(
        name: str, unit: str, form: str, value: Callable[[Comparison], float], scale: float = 1, group: str = difference
    ) -> CellColumn[_RunRow]:
        """A number of the comparison by this metric; a dash where there is none."""

        def cell(row: _RunRow) -> Cell:
            comparison = row.comparison
            if comparison is None or comparison.main_metric != metric:
                return NOT_APPLICABLE
            return number_cell(value(comparison), form, scale)

        return CellColumn(name, unit, group, cell=cell)

    return [
        stub("model", lambda row: row.run.model),
        stub("quantizer", lambda row: _quantizer(row.run)),
        stub("calibration set", lambda row: row.run.calib or ""),
        stub("task", lambda row: row.run.task),
        stub("perturbation", lambda row: row.run.perturbation),
        stub("prompts", lambda row: row.run.setting.prompting),
        number("seed", "", lambda row: row.run.spec.seed, "d"),
        number("temperature", "", lambda row: row.run.spec.temperature, "g"),
        number("problems", "n", lambda row: row.run.n_problems or None, "d"),
        number("samples", "a problem", lambda row: row.run.n_samples or None, "d"),
        number(metric, unit, lambda row: row.score.value, ".2f", scale, metric),
        number("from", unit, lambda row: row.score.low, ".2f", scale, metric),
        number("to", unit, lambda row: row.score.high, ".2f", scale, metric),
        *_stage_columns(rows),
        compared(difference, points, "+.2f", lambda each: each.main.difference, scale),
        compared("from", points, "+.2f", lambda each: each.main.ci95[0], scale),
        compared("to", points, "+.2f", lambda each: each.main.ci95[1], scale),
        compared("relative", "%", "+.1f", lambda each: relative_decrease(each.main.a, each.main.b)),
        compared("detectable", points, ".2f", lambda each: each.smallest_detectable_difference, scale),
        CellColumn("common random numbers", "", difference, cell=_coupled),
        compared("by problem", "", ".2g", lambda each: each.clustered.p_value, group="p"),
        CellColumn("pooled, adjusted", "", "p", cell=_pooled),
        size_column("size", rows, lambda row: row.run.storage_bytes, group=hosting),
        number("latency", "s", lambda row: row.profile.latency_s.median if row.profile else None, ".3g", group=hosting),
        number(
            "CO2 of 1,000", "g", lambda row: row.profile.gco2eq_per_1k if row.profile else None, ".3g", group=hosting
        ),
        CellColumn("left in full precision", "%", hosting, cell=_untouched),
    ]


def _stage_columns(rows: Sequence[_RunRow]) -> list[CellColumn[_RunRow]]:
    """pass@1 of each stage of tests that any of these runs has, in percent; a dash for a run without it."""

    def column(metric: str) -> CellColumn[_RunRow]:
        def cell(row: _RunRow) -> Cell:
            value = row.run.metrics.get(metric)
            return NOT_APPLICABLE if value is None else number_cell(value, ".2f", 100)

        return CellColumn(metric, "%", cell=cell)

    return [column(metric) for metric in dict.fromkeys(name for row in rows for name in row.run.stage_metrics.values())]


def _quantizer(run: FinishedRun) -> str:
    """The checkpoint and the quantizer's spec in full."""
    return ", ".join(each for each in (run.checkpoint, run.quant) if each and each != "none") or FULL_PRECISION


def _pooled(row: _RunRow) -> Cell:
    """The pooled p-value; a dash where no passes are compared."""
    return number_cell(row.adjusted, ".2g") if row.comparison and row.comparison.paper else NOT_APPLICABLE


def _coupled(row: _RunRow) -> Cell | str:
    """Whether the two runs drew with common random numbers; a dash where nothing is compared."""
    return NOT_APPLICABLE if row.comparison is None else "yes" if row.comparison.coupled else "no"


def _untouched(row: _RunRow) -> Cell:
    return NOT_APPLICABLE if row.run.full else number_cell(row.run.untouched, ".1f", 100)
