"""How long a run took, and whether its machine was busy meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from qharness.storage.json_codec import LEFT_OUT, Figure

_BUSY = 0.1


@dataclass(frozen=True)
class Timings:
    """Seconds that the run took in all, and that generating its completions took; NaN where unknown.

    `completions`: how many were generated in that time; a run that resumed has more. `tokens`: how many these have;
    None of a backend that does not count them. `waited_s`: the part of the generation in which it waited for a
    processor that other programs had.
    """

    total_s: Figure = float("nan")
    generation_s: Figure = float("nan")
    completions: int | None = field(default=None, metadata=LEFT_OUT)
    waited_s: Figure = float("nan")
    tokens: int | None = field(default=None, metadata=LEFT_OUT)

    def faster_than(self, other: Timings) -> float:
        """How many times as fast as the other run this one generated; NaN where unknown.

        By token, for a model whose answers are shorter is no faster; by completion, where a run did not count them.
        """
        if self.tokens and other.tokens:
            counts = self.tokens, other.tokens
        elif self.completions and other.completions:
            counts = self.completions, other.completions
        else:
            return math.nan
        took = other.generation_s * counts[0]
        return took / (self.generation_s * counts[1]) if self.generation_s else math.nan

    @property
    def waited(self) -> float:
        """The part of the generation, 0 to 1, in which it waited for a processor; 0 where that is unknown."""
        share = self.waited_s / self.generation_s if self.generation_s else 0.0
        return share if math.isfinite(share) else 0.0

    @property
    def busy(self) -> bool:
        """Whether the machine was so busy that the seconds say little of the model."""
        return self.waited > _BUSY
