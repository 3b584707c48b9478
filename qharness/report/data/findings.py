"""The findings of a report: for each model, the verdicts on its quantized models, from full precision down by size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.data.selection import by_task, grouped
from qharness.results.verdict import VerdictClass
from qharness.specs import RAW, MaxLoss
from qharness.stats.candidates import Candidate, JudgedCandidate, judge
from qharness.stats.judged_runs import ComparedRun
from qharness.stats.verdict_sentences import amount, candidate_sentence, group_sentence, headline
from qharness.storage.json_values import defined

UNCOUPLED = "Not all of these runs share their random numbers: the intervals hold the noise of both runs' draws."

PARTIAL = (
    "Runs that choose has made are there in part. It judges the benchmark's own problems, and this report problems "
    "like these, of which fewer say less."
)


@dataclass(frozen=True)
class Finding:
    """The verdicts on the candidates of one model, which are judged together with those of the report's others.

    `judged`: large ones first, those of unknown size last. `full_bytes`: full precision's checkpoint, NaN where that
    is not known. `partial`: some of its runs were made by `choose`, which stops when it knows.
    """

    model: str
    judged: tuple[JudgedCandidate, ...]
    margin: MaxLoss
    full_bytes: float = math.nan
    partial: bool = False

    @property
    def borne(self) -> str:
        """The loss that can be borne, as `2 points`."""
        return amount(self.margin.amount, self.margin)

    @property
    def class_(self) -> VerdictClass | None:
        """*holds* where any candidate does, else the verdict that leaves most open; None where there is none."""
        found = {each.class_ for each in self.judged}
        order = (VerdictClass.HOLDS, VerdictClass.CANNOT_TELL, VerdictClass.SAYS_NOTHING, VerdictClass.LOSES)
        return next((each for each in order if each in found), None)

    @property
    def headline(self) -> str:
        """The finding in words, without the figures of those that are not named."""
        return headline(self.judged)

    @property
    def sentence(self) -> str:
        """The finding in one line: which is the smallest that holds, and the others with their losses."""
        return group_sentence(self.judged)

    @property
    def each(self) -> list[str]:
        """A sentence on each candidate, where there are several."""
        return [candidate_sentence(each) for each in self.judged] if len(self.judged) > 1 else []

    @property
    def notes(self) -> list[str]:
        """What widens the intervals."""
        coupled = all(comparison.coupled for of in self.judged for _, comparison in of.candidate.comparisons)
        return [*([] if coupled else [UNCOUPLED]), *([PARTIAL] if self.partial else [])]


def findings(collection: Collection, margin: MaxLoss) -> list[Finding]:
    """A finding for each model with runs of programs to compare, in the order of the runs.

    Runs of one candidate on several tasks are judged together: it holds only where it holds on all. Runs of a task
    that differ in their settings, such as the seed, count as tasks.
    """
    runs = [run for of_task in by_task(collection).values() for run in of_task if _is_judged(collection, run)]
    groups = grouped(runs, lambda run: run.model)
    candidates = [_candidates(collection, of_model) for of_model in groups]
    judged = iter(judge([each for of_model in candidates for each in of_model], margin))
    return [
        Finding(
            collection.labels.model_name(of_model[0].model),
            tuple(next(judged) for _ in own),
            margin,
            _full_bytes(collection, of_model),
            any(run.spec.drawn for run in of_model),
        )
        for of_model, own in zip(groups, candidates, strict=True)
    ]


def _is_judged(collection: Collection, run: FinishedRun) -> bool:
    comparison = collection.comparison(run)
    return comparison is not None and not run.full and comparison.paper is not None


def _candidates(collection: Collection, runs: Sequence[FinishedRun]) -> list[Candidate]:
    """The quantized forms of one model, large ones first, each with its comparison on every task."""
    tasks = _task_names(runs)
    of_label: dict[str, list[FinishedRun]] = {}
    for run, label in zip(runs, collection.labels.points(runs), strict=True):
        of_label.setdefault(label, []).append(run)
    found = [_candidate(collection, label, own, tasks) for label, own in of_label.items()]
    return sorted(found, key=lambda each: (math.isnan(each.savings.size), -each.savings.size, _lost(each)))


def _lost(candidate: Candidate) -> float:
    """The sum of what it loses on its tasks, which orders candidates of one size."""
    return sum(-comparison.main.difference for _, comparison in candidate.comparisons)


def _candidate(
    collection: Collection, label: str, runs: Sequence[FinishedRun], tasks: dict[FinishedRun, str]
) -> Candidate:
    """A quantized model with its comparisons; what it saves is what its first run saves."""
    baseline = collection.baseline_of(runs[0])
    savings = ComparedRun(runs[0].result.record, baseline.result.record if baseline else None).savings
    comparisons = [(tasks[run], each) for run in runs if (each := collection.comparison(run)) is not None]
    return Candidate(label, comparisons, savings)


def _task_names(runs: Sequence[FinishedRun]) -> dict[FinishedRun, str]:
    """The task of each run of one model, with the settings in which runs of that task differ; a chat always says so."""
    names = {}
    for of_task in grouped(runs, lambda run: run.task):
        values = [run.setting.texts() for run in of_task]
        differing = {name for name in values[0] if len({each[name] for each in values}) > 1}
        for run, texts in zip(of_task, values, strict=True):
            shown = differing | ({"prompting"} if run.setting.prompting != RAW else set())
            names[run] = ", ".join([run.task, *(text for name, text in texts.items() if name in shown)])
    return names


def _full_bytes(collection: Collection, runs: Sequence[FinishedRun]) -> float:
    sizes = (baseline.storage_bytes for run in runs if (baseline := collection.baseline_of(run)))
    return defined(next((size for size in sizes if size), None))
