"""Tables that break a pass rate down: by language, by level of difficulty, by stage of the tests, by failure."""

from __future__ import annotations

from collections import defaultdict

from qharness.api.languages import Status
from qharness.report.data.collection import Collection
from qharness.report.data.comparisons import difference
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.data.selection import on_reference, unperturbed
from qharness.report.tables.columns import NOT_APPLICABLE, CellColumn, Column, Table, number_cell, stub
from qharness.report.tables.formatting import sizes_caption
from qharness.report.tables.pivot import Pivot
from qharness.results.paired_results import PASS_RATE
from qharness.stats.analyses import by_level

_FEW_LANGUAGES = 2


def tables(collection: Collection) -> list[Table]:
    """The tables for which there are runs."""
    runs = on_reference(collection, unperturbed(collection.largest))
    runs.sort(key=lambda run: (run.task, collection.labels.model(run), *collection.by_size(run)))
    return [
        *languages(collection, runs),
        *levels(collection, runs),
        *stages(collection, runs),
        *failures(collection, runs),
        *lost_pairs(collection, runs),
    ]


def languages(collection: Collection, runs: list[FinishedRun]) -> list[Table]:
    """A table of languages by quantizers; none of a benchmark in one language or two, which the papers' tables show."""
    labels, found = collection.labels, defaultdict[str, set[str]](set)
    for run in runs:
        found[labels.benchmark(run)].add(run.language)
    shown = [run for run in runs if len(found[labels.benchmark(run)]) > _FEW_LANGUAGES and run.counts_passes]
    shown.sort(key=lambda run: (labels.benchmark(run), labels.model(run), *collection.by_size(run), run.language))
    stubs = [stub("benchmark", labels.benchmark), stub("model", labels.model)]
    pivot = Pivot([*stubs, stub("language", lambda run: run.language)])
    for run in shown:
        comparison, group = collection.comparison(run), labels.quant(run)
        pivot.put(run, Column("pass@1", "%", group), number_cell(run.score, ".1f", 100))
        if not run.full:
            lost = NOT_APPLICABLE if comparison is None else number_cell(-comparison.main.difference, "+.1f", 100)
            pivot.put(run, Column("lost", "points", group), lost)
    caption = f"pass@1 in percent by language, and the points lost against full precision. {sizes_caption(shown)}"
    return pivot.tables("languages", "Quantizers by language", caption)


def levels(collection: Collection, runs: list[FinishedRun]) -> list[Table]:
    """A table of pass@1 by level of difficulty; none where no benchmark has several."""
    pivot, shown = Pivot(_stubs(collection)), []
    of_run = {run: levels for run in runs if len(levels := by_level(run.rows)) > 1}
    for run, levels in of_run.items():
        comparison = collection.comparison(run)
        for level, result in levels.items():
            pivot.put(run, Column("pass@1", "%", level), number_cell(result.pass_rate, ".1f", 100))
            pivot.put(run, Column("problems", "n", level), number_cell(result.n_problems, "d"))
            pairs = comparison.levels.get(level) if comparison and comparison.levels else None
            lost = NOT_APPLICABLE if pairs is None else number_cell(pairs.lost_pairs, "d")
            pivot.put(run, Column("lost", "pairs", level), lost)
            shown.append(run)
    caption = (
        "pass@1 in percent by the benchmark's level of difficulty. Lost: pairs of completions of which only that of "
        f"full precision passed. {sizes_caption(shown)}"
    )
    return pivot.tables("levels", "pass@1 by difficulty", caption)


def stages(collection: Collection, runs: list[FinishedRun]) -> list[Table]:
    """A table of pass@1 by the first stages of the tests and by all; none where no task's tests have stages."""
    pivot, shown = Pivot(_stubs(collection)), [run for run in runs if run.stage_metrics]
    for run in shown:
        groups = {f"{stage} tests": metric for stage, metric in run.stage_metrics.items()} | {"all tests": PASS_RATE}
        for group, metric in groups.items():
            pivot.put(run, Column("pass@1", "%", group), number_cell(run.metrics[metric], ".1f", 100))
            change = None if run.full else difference(collection, run, metric)
            lost = NOT_APPLICABLE if change is None else number_cell(-change, "+.1f", 100)
            pivot.put(run, Column("lost", "points", group), lost)
        for stage in run.stage_metrics:
            found = sum(stage in (row.stages or ()) and not row.passed for row in run.rows)
            pivot.put(run, Column(f"pass {stage} only", "n", "all tests"), number_cell(found, "d"))
    caption = (
        "pass@1 in percent by the tests of the original benchmark and by all tests, from one execution, and the points "
        "lost against full precision. Pass ... only: completions that pass that stage and fail a later test. "
        f"{sizes_caption(shown)}"
    )
    return pivot.tables("stages", "pass@1 by stage of the tests", caption)


def failures(collection: Collection, runs: list[FinishedRun]) -> list[Table]:
    """A table of how completions ended: how many passed, and how many failed in each way."""
    pivot = Pivot(_stubs(collection))
    for run in runs:
        counts = run.failure_counts
        for kind, count in {"completions": sum(counts.values()), **counts}.items():
            pivot.put(run, Column(kind, "n"), number_cell(count, "d"))
    caption = (
        "Completions by how they ended. Assertion: a test failed; exception: any other error; missing-name: a name, "
        f"method or package that does not exist, found by compiler or interpreter. {sizes_caption(runs)}"
    )
    return pivot.tables("failures", "Failures by kind", caption)


def lost_pairs(collection: Collection, runs: list[FinishedRun]) -> list[Table]:
    """A table of how those completions ended that passed in full precision and no longer do."""
    pivot, shown = Pivot(_stubs(collection)), []
    for run in runs:
        comparison = collection.comparison(run)
        counts = comparison.failures.lost_pairs if comparison and comparison.failures else {}
        for kind, count in counts.items():
            if kind != Status.PASSED:
                pivot.put(run, Column(kind, "n"), number_cell(count, "d"))
        shown += [run] if counts else []
    caption = (
        "Of the pairs of completions of which only that of full precision passed: how the other ended. The kinds are "
        f"those of the table of failures. {sizes_caption(shown)}"
    )
    return pivot.tables("lost-pairs", "Failures of what passed in full precision", caption)


def _stubs(collection: Collection) -> list[CellColumn[FinishedRun]]:
    labels = collection.labels
    return [stub("task", lambda run: run.task), stub("model", labels.model), stub("quantizer", labels.quant)]
