"""Judges quantized models that were compared with full precision, several at a time and on several tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from qharness.results import Comparison
from qharness.results.verdict import LossVerdict, VerdictClass
from qharness.specs import MaxLoss
from qharness.stats.adjustment import holm_levels
from qharness.stats.intervals import LEVEL
from qharness.stats.non_inferiority import LossEvidence

FULL_PRECISION = "full precision"


@dataclass(frozen=True)
class JudgedTask:
    """A quantized model on one task: what it was compared by, the evidence and the verdict."""

    task: str
    comparison: Comparison
    evidence: LossEvidence
    verdict: LossVerdict


@dataclass(frozen=True)
class Savings:
    """What a quantized model saves; NaN where it is not known.

    `size`: bytes of its checkpoint. `smaller`: the fraction of full precision's bytes that is saved. `faster`: full
    precision's seconds a token by its own.
    """

    size: float = math.nan
    smaller: float = math.nan
    faster: float = math.nan


@dataclass(frozen=True)
class Candidate:
    """A quantized model, by its name, with its comparison on each task with the `reference`, by that one's name."""

    name: str
    comparisons: Sequence[tuple[str, Comparison]]
    savings: Savings = Savings()
    reference: str = FULL_PRECISION


@dataclass(frozen=True)
class JudgedCandidate:
    """A candidate with its verdict on each task that it can be judged by, and the one on all of them."""

    candidate: Candidate
    tasks: Sequence[JudgedTask]

    @property
    def class_(self) -> VerdictClass | None:
        """The verdict on all tasks; None where no task can be judged."""
        return VerdictClass.on_all(each.verdict.class_ for each in self.tasks)


def judge(candidates: Sequence[Candidate], margin: MaxLoss) -> list[JudgedCandidate]:
    """Judge candidates that are read together; the probability of a wrong *holds* among them is at most 0.05.

    That of a wrong *loses* is, too. Holm's procedure adjusts the level over the candidates. To hold, a candidate must
    hold on every task, which needs no adjustment; to lose, on any, so its level is divided by the number of its tasks.
    Comparisons without passes, as those of texts, are left out: the margin is one of pass@1.
    """
    evidence = [
        [(task, each, LossEvidence.of(each.counts, margin)) for task, each in candidate.comparisons if each.counts]
        for candidate in candidates
    ]
    judged = [n for n, of_tasks in enumerate(evidence) if of_tasks]
    p_holds = [max(each.p_holds() for _, _, each in evidence[n]) for n in judged]
    p_loses = [min(each.p_loses() for _, _, each in evidence[n]) * len(evidence[n]) for n in judged]
    levels = zip(judged, holm_levels(p_holds, LEVEL), holm_levels(p_loses, LEVEL), strict=True)
    level_of = {n: (holds, loses / len(evidence[n])) for n, holds, loses in levels}
    return [
        JudgedCandidate(
            candidate,
            [
                JudgedTask(task, comparison, each, _verdict(each, *level_of[n], len(judged)))
                for task, comparison, each in evidence[n]
            ],
        )
        for n, candidate in enumerate(candidates)
    ]


def _verdict(evidence: LossEvidence, holds_level: float, loses_level: float, candidates: int) -> LossVerdict:
    """The verdict at these levels, without its sentence."""
    margin = evidence.margin
    verdict = LossVerdict(
        _class(evidence, holds_level, loses_level),
        margin.amount,
        evidence.bounds(holds_level, loses_level),
        relative=margin.relative or None,
        candidates=candidates if candidates > 1 else None,
    )
    if verdict.class_ is not VerdictClass.CANNOT_TELL:
        return verdict
    return replace(verdict, more_problems_needed=evidence.more_problems(), more_samples_needed=evidence.more_samples())


def _class(evidence: LossEvidence, holds_level: float, loses_level: float) -> VerdictClass:
    if evidence.p_loses() <= loses_level:
        return VerdictClass.LOSES
    if evidence.silent:
        return VerdictClass.SAYS_NOTHING
    return VerdictClass.HOLDS if evidence.p_holds() <= holds_level else VerdictClass.CANNOT_TELL
