"""The findings at the top of the page: for each model, the smallest quantized model that holds, and the others."""

from __future__ import annotations

from dataclasses import dataclass

from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.data.selection import by_task
from qharness.specs import MaxLoss
from qharness.stats.candidates import Candidate, JudgedCandidate, judge
from qharness.stats.judged_runs import ComparedRun
from qharness.stats.verdict_sentences import amount, candidate_sentence, group_sentence

UNCOUPLED = "Not all of these runs share their random numbers: the intervals hold the noise of both runs' draws."

PARTIAL = (
    "Runs that choose has made are there in part. It judges the benchmark's own problems, and this report problems "
    "like these, of which fewer say less."
)


@dataclass(frozen=True)
class Finding:
    """The verdicts on the candidates of one model, which are judged together with those of the report's others.

    `partial`: some of its runs were made by `choose`, which stops when it knows.
    """

    model: str
    judged: tuple[JudgedCandidate, ...]
    margin: MaxLoss
    partial: bool = False

    @property
    def borne(self) -> str:
        """The loss that can be borne, as `2 points`."""
        return amount(self.margin.amount, self.margin)

    @property
    def sentence(self) -> str:
        """The finding in words: which is the smallest that holds."""
        return group_sentence(self.judged)

    @property
    def sentences(self) -> list[str]:
        """The finding, where there are several candidates one sentence on each, and what widens the intervals."""
        each = map(candidate_sentence, self.judged) if len(self.judged) > 1 else ()
        coupled = all(comparison.coupled for of in self.judged for _, comparison in of.candidate.comparisons)
        return [self.sentence, *each, *([] if coupled else [UNCOUPLED]), *([PARTIAL] if self.partial else [])]


def findings(collection: Collection, margin: MaxLoss) -> list[Finding]:
    """A finding for each model with runs of programs to compare, in the order of the runs.

    Runs of one candidate on several tasks are judged together: it holds only where it holds on all.
    """
    labels = collection.labels
    runs: dict[str, dict[str, list[tuple[str, FinishedRun]]]] = {}
    for task, of_task in by_task(collection).items():
        for run, label in zip(of_task, labels.points(of_task), strict=True):
            comparison = collection.comparison(run)
            if comparison is not None and not run.full and comparison.paper is not None:
                runs.setdefault(labels.model(run), {}).setdefault(label, []).append((task, run))
    candidates = {
        model: [_candidate(collection, label, own) for label, own in of_model.items()]
        for model, of_model in runs.items()
    }
    judged = iter(judge([each for of_model in candidates.values() for each in of_model], margin))
    partial = {
        model for model, of_model in runs.items() if any(run.spec.drawn for own in of_model.values() for _, run in own)
    }
    return [
        Finding(model, tuple(next(judged) for _ in of_model), margin, model in partial)
        for model, of_model in candidates.items()
    ]


def _candidate(collection: Collection, label: str, runs: list[tuple[str, FinishedRun]]) -> Candidate:
    """A quantized model with its comparisons; what it saves is what its first run saves."""
    first = runs[0][1]
    baseline = collection.baseline_of(first)
    savings = ComparedRun(first.result.record, baseline.result.record if baseline else None).savings
    comparisons = [(task, comparison) for task, run in runs if (comparison := collection.comparison(run)) is not None]
    return Candidate(label, comparisons, savings)
