"""The table of verdicts: each model in full precision, and below it its quantized forms, large ones first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qharness.report.data.class_marks import mark_of
from qharness.report.data.findings import Finding
from qharness.report.data.labels import FULL_PRECISION
from qharness.report.tables.columns import NOT_APPLICABLE, Cell, CellColumn, Table, number_cell, stub, table_of
from qharness.report.tables.formatting import size_column
from qharness.results.verdict import VerdictClass
from qharness.stats.candidates import JudgedCandidate, JudgedTask
from qharness.storage.json_values import defined


@dataclass(frozen=True, eq=False)
class Rung:
    """A row: one model on one task. `judged`, `on_task`: None for full precision; `on_task` also without a verdict."""

    finding: Finding
    task: str
    full_score: float
    judged: JudgedCandidate | None = None
    on_task: JudgedTask | None = None

    @property
    def name(self) -> str:
        """Full precision, or the quantizer."""
        return self.judged.candidate.name if self.judged else FULL_PRECISION

    @property
    def size(self) -> float:
        """Bytes of the checkpoint; NaN where they are not known."""
        return self.judged.candidate.savings.size if self.judged else self.finding.full_bytes

    @property
    def verdict(self) -> VerdictClass | None:
        """The verdict on this task alone."""
        return self.on_task.verdict.class_ if self.on_task else None


def ladder(finding: Finding) -> list[Rung]:
    """The rows of one model: full precision on each task, then each candidate on each of its tasks."""
    scores: dict[str, float] = {}
    for judged in finding.judged:
        for each in judged.tasks:
            scores.setdefault(each.task, 100 * each.evidence.means[0])
    rungs = [Rung(finding, task, score) for task, score in scores.items()]
    for judged in finding.judged:
        rungs += [Rung(finding, each.task, 100 * each.evidence.means[0], judged, each) for each in judged.tasks]
        if not judged.tasks:
            rungs.append(Rung(finding, "", math.nan, judged))
    return rungs


def tables(findings: Sequence[Finding]) -> list[Table]:
    """One table of all models; none where there is nothing to judge."""
    rungs = [rung for finding in findings for rung in ladder(finding)]
    if not rungs:
        return []
    unit = findings[0].margin.unit
    columns: list[CellColumn[Rung]] = [
        stub("model", lambda rung: rung.finding.model),
        stub("quantizer", lambda rung: rung.name),
        stub("task", lambda rung: rung.task),
        size_column("size", rungs, lambda rung: rung.size),
        CellColumn("smaller", "%", cell=_smaller),
        CellColumn("verdict", cell=lambda rung: mark_of(rung.judged.class_).words if rung.judged else NOT_APPLICABLE),
        CellColumn("on the task", cell=lambda rung: mark_of(rung.verdict).words if rung.judged else NOT_APPLICABLE),
        CellColumn("full precision", "%", "pass@1", cell=lambda rung: number_cell(rung.full_score, ".1f")),
        CellColumn("quantized", "%", "pass@1", cell=_score),
        CellColumn("estimate", unit, "loss", cell=lambda rung: _bound(rung, "estimate")),
        CellColumn("from", unit, "loss", cell=lambda rung: _bound(rung, "lower95")),
        CellColumn("to", unit, "loss", cell=lambda rung: _bound(rung, "upper95")),
        CellColumn("problems", "n", "would tell", cell=lambda rung: _more(rung, "more_problems_needed")),
        CellColumn("samples of each", "n", "would tell", cell=lambda rung: _more(rung, "more_samples_needed")),
    ]
    caption = (
        f"The loss is full precision's pass@1 less the quantized model's; each of its bounds is one-sided, of 95%, and "
        f"{'they hold jointly for all' if _several(findings) else 'by problem'}. A model holds where a loss "
        f"above {findings[0].borne} is excluded on every task, and loses where a smaller one is excluded on any. Would "
        f"tell: how many more problems like these, or samples of each, would with probability 0.8."
    )
    return table_of("verdicts", "Verdicts", caption, columns, rungs)


def _several(findings: Sequence[Finding]) -> bool:
    return sum(len(finding.judged) for finding in findings) > 1


def _smaller(rung: Rung) -> Cell:
    return number_cell(rung.judged.candidate.savings.smaller, ".0f", 100) if rung.judged else NOT_APPLICABLE


def _score(rung: Rung) -> Cell:
    return number_cell(rung.on_task.evidence.means[1], ".1f", 100) if rung.on_task else NOT_APPLICABLE


def _bound(rung: Rung, name: str) -> Cell:
    return number_cell(getattr(rung.on_task.verdict.loss, name), ".1f") if rung.on_task else NOT_APPLICABLE


def _more(rung: Rung, name: str) -> Cell:
    """How many more would tell; a dash where there is a verdict already."""
    if rung.on_task is None or rung.verdict is not VerdictClass.CANNOT_TELL:
        return NOT_APPLICABLE
    return number_cell(defined(getattr(rung.on_task.verdict, name)), ".0f")
