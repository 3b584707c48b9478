"""What stands behind pass@1: levels of difficulty, and kinds of failure."""

from __future__ import annotations

from typing import Any

from qharness.api.languages import Status
from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.data.selection import on_reference, unperturbed
from qharness.report.page.formatting import extent
from qharness.report.tables.pivot import Pivot
from qharness.report.tables.table import NOT_APPLICABLE, Column, Table, figure, stub
from qharness.stats.analyses import by_level, failure_kinds

_STUBS = stub("task", "model", "quantizer")


def tables(collection: Collection) -> list[Table]:
    """Those for which there are runs."""
    runs = on_reference(collection, unperturbed(collection.largest))
    runs.sort(key=lambda e: (e.task, collection.labels.model(e), *collection.by_size(e)))
    return [*levels(collection, runs), *failures(collection, runs), *lost_pairs(collection, runs)]


def levels(collection: Collection, runs: list[FinishedRun]) -> list[Table]:
    """pass@1 by level of difficulty, of benchmarks that have levels."""
    pivot, shown = Pivot(_STUBS), []
    for entry in runs:
        for level, found in by_level(entry.rows).items():
            pivot.put(_row(collection, entry), Column(level, "%"), figure(found.pass_rate, ".1f", 100))
            pivot.put(_row(collection, entry), Column(f"{level}: problems", "n"), figure(found.n_problems, "d"))
            pairs = _compared(collection, entry, "levels").get(level, {}).get("lost_pairs")
            lost = NOT_APPLICABLE if pairs is None else figure(pairs, "d")
            pivot.put(_row(collection, entry), Column(f"{level}: lost", "pairs"), lost)
            shown.append(entry)
    caption = (
        "pass@1 in percent by the benchmark's level of difficulty. Lost: pairs of completions of which only that of "
        f"full precision passed. {extent(shown)}"
    )
    return pivot.tables("levels", "pass@1 by difficulty", caption)


def failures(collection: Collection, runs: list[FinishedRun]) -> list[Table]:
    """How completions ended: passed, or failed in which way."""
    pivot = Pivot(_STUBS)
    for entry in runs:
        counts = failure_kinds(entry.rows)
        pivot.put(_row(collection, entry), Column("completions", "n"), figure(sum(counts.values()), "d"))
        for kind, count in counts.items():
            pivot.put(_row(collection, entry), Column(kind, "n"), figure(count, "d"))
    caption = (
        "Completions by how they ended. Assertion: a test failed; exception: any other error; missing-name: a name, "
        f"method or package that does not exist, found by compiler or interpreter. {extent(runs)}"
    )
    return pivot.tables("failures", "Failures by kind", caption)


def lost_pairs(collection: Collection, runs: list[FinishedRun]) -> list[Table]:
    """How those completions ended that passed in full precision and no longer do."""
    pivot, shown = Pivot(_STUBS), []
    for entry in runs:
        counts = _compared(collection, entry, "failures").get("lost_pairs", {})
        for kind, count in counts.items():
            if kind != Status.PASSED:
                pivot.put(_row(collection, entry), Column(kind, "n"), figure(count, "d"))
        shown += [entry] if counts else []
    caption = (
        "Of the pairs of completions of which only that of full precision passed: how the other ended. The kinds are "
        f"those of the table of failures. {extent(shown)}"
    )
    return pivot.tables("lost-pairs", "Failures of what passed in full precision", caption)


def _compared(collection: Collection, entry: FinishedRun, name: str) -> dict[str, Any]:
    """A part of the comparison with full precision; empty where there is none."""
    found: dict[str, Any] = (collection.comparison(entry) or {}).get(name) or {}
    return found


def _row(collection: Collection, entry: FinishedRun) -> tuple[str, str, str]:
    return entry.task, collection.labels.model(entry), collection.labels.quant(entry)
