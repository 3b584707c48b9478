"""The verdict on a quantized model: does it lose less than the user can bear?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from qharness.storage.json_codec import LEFT_OUT, Figure, JsonRecord


class VerdictClass(StrEnum):
    """What the pairs of completions say of a quantized model's loss; see docs/verdict.md."""

    HOLDS = "holds"  # a loss above the margin is excluded
    LOSES = "loses"  # a loss within the margin is excluded
    CANNOT_TELL = "cannot-tell"  # neither is
    SAYS_NOTHING = "says-nothing"  # these problems could not have shown a loss of the margin

    @classmethod
    def on_all(cls, verdicts: Iterable[VerdictClass]) -> VerdictClass | None:
        """The verdict on several tasks: a model loses where it loses on one, and holds only where it holds on all.

        None without a task.
        """
        found = set(verdicts)
        worst_first = (cls.LOSES, cls.SAYS_NOTHING, cls.CANNOT_TELL, cls.HOLDS)
        return next((each for each in worst_first if each in found), None)


@dataclass(frozen=True)
class LossBounds:
    """The loss of pass@1, full precision's less the quantized model's, with one-sided 95% bounds.

    In points, or in percent of full precision's where the margin is relative.
    """

    estimate: Figure
    lower95: Figure
    upper95: Figure


@dataclass(frozen=True)
class LossVerdict(JsonRecord):
    """The verdict on one quantized model on one task, and the sentence that says it.

    `max_loss`: the margin, in the unit of `loss`. `relative`: that unit is percent of full precision's pass@1.
    `candidates`: how many quantized models were judged together; above one, their bounds hold jointly (Holm).
    `more_problems_needed`, `more_samples_needed`: how many more problems, or how many more samples of each problem,
    would tell with probability 0.8 if they are like these; None where none would, or where it is not known.
    """

    class_: Annotated[VerdictClass, Field(alias="class")]
    max_loss: float
    loss: LossBounds
    relative: bool | None = field(default=None, metadata=LEFT_OUT)
    candidates: int | None = field(default=None, metadata=LEFT_OUT)
    more_problems_needed: int | None = field(default=None, metadata=LEFT_OUT)
    more_samples_needed: int | None = field(default=None, metadata=LEFT_OUT)
    sentence: str = ""
