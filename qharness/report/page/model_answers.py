"""The findings as the page shows them: an answer in words, and a table from full precision down by size."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from qharness.report.data.class_marks import ClassMark, mark_of
from qharness.report.data.findings import Finding
from qharness.report.tables.formatting import size_text
from qharness.report.tables.verdict_table import Rung, ladder
from qharness.stats.verdict_sentences import tenths

_WORTH_A_WORD = 0.005  # of the bytes


@dataclass(frozen=True)
class Line:
    """What one model did on one task; `mark` is its verdict there, None for full precision."""

    task: str
    score: str
    loss: str
    bounds: str
    mark: ClassMark | None


@dataclass(frozen=True)
class Step:
    """One model of the table, with a line for each task; `mark` is None for full precision."""

    name: str
    size: str
    mark: ClassMark | None
    lines: Sequence[Line]


@dataclass(frozen=True)
class ModelAnswer:
    """The answer on one model. `head`: its first words, which decide; `rest`: the figures behind them.

    `only_task`: the task, where there is one. `sentences`: on each candidate. `notes`: what widens the intervals.
    """

    model: str
    mark: ClassMark
    head: str
    rest: str
    borne: str
    unit: str
    only_task: str
    steps: Sequence[Step]
    sentences: Sequence[str]
    notes: Sequence[str]


def answer_of(finding: Finding) -> ModelAnswer:
    """The answer that a finding gives."""
    words = finding.headline.replace(" -> ", " → ")
    head, *rest = re.split(r"(?=[:;] )", words, maxsplit=1)
    rungs = ladder(finding)
    tasks = list(dict.fromkeys(rung.task for rung in rungs if rung.task))
    return ModelAnswer(
        finding.model,
        mark_of(finding.class_),
        head,
        "".join(rest),
        finding.borne,
        finding.margin.unit,
        tasks[0] if len(tasks) == 1 else "",
        [_step(list(own)) for _, own in itertools.groupby(rungs, key=lambda rung: rung.name)],
        [sentence.replace(" -> ", " → ") for sentence in finding.each],
        finding.notes,
    )


def _step(rungs: Sequence[Rung]) -> Step:
    first = rungs[0]
    if first.judged is None:
        return Step(first.name, size_text(first.size), None, [_line(rung) for rung in rungs])
    smaller = first.judged.candidate.savings.smaller
    saved = f", {100 * smaller:.0f}% smaller" if smaller >= _WORTH_A_WORD else ""
    return Step(
        first.name, f"{size_text(first.size)}{saved}", mark_of(first.judged.class_), [_line(rung) for rung in rungs]
    )


def _line(rung: Rung) -> Line:
    """The scores are those of the figures in words: one digit behind the point."""
    if rung.judged is None:
        return Line(rung.task, f"{rung.full_score:.1f}", "", "", None)
    if rung.on_task is None:
        return Line(rung.task, "", "", "", None)
    loss = rung.on_task.verdict.loss
    return Line(
        rung.task,
        f"{100 * rung.on_task.evidence.means[1]:.1f}",
        tenths(loss.estimate),
        f"{tenths(loss.lower95)} to {tenths(loss.upper95)}",
        mark_of(rung.verdict),
    )
