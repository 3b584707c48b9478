"""The verdict on a candidate while its pairs of completions come in, valid at every look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qharness.results.verdict import VerdictClass
from qharness.stats.betting import Floats, p_value_path

_PRECISION = 1e-4


@dataclass(frozen=True)
class Stop:
    """A verdict, and the number of pairs that it took."""

    verdict: VerdictClass
    pairs: int


@dataclass(frozen=True)
class SequentialRule:
    """Judges the mean loss of `size` pairs, which are drawn without replacement, against a margin.

    A pair's loss is 1 where full precision alone passes, -1 where the quantized model alone does, else 0. `margin`: the
    mean loss that can be borne, a fraction. *holds* is said of a greater mean loss with a probability of at most
    `holds_level`, and *loses* of one within the margin with at most `loses_level`, however often one looks. Once all
    pairs are drawn their mean is known, and is said.
    """

    size: int
    margin: float
    holds_level: float
    loses_level: float

    def judge(self, losses: Floats) -> Stop:
        """The first verdict on the pairs so far, float64 [pairs] in their order; *cannot tell* where there is none."""
        if not len(losses):
            return Stop(VerdictClass.CANNOT_TELL, 0)
        told = {
            VerdictClass.HOLDS: p_value_path(losses, self.size, self.margin) <= self.holds_level,
            VerdictClass.LOSES: p_value_path(-losses, self.size, -self.margin) <= self.loses_level,
        }
        stops = [Stop(verdict, int(np.argmax(path)) + 1) for verdict, path in told.items() if path.any()]
        if stops:
            return min(stops, key=lambda stop: stop.pairs)
        if len(losses) < self.size:
            return Stop(VerdictClass.CANNOT_TELL, len(losses))
        within = float(losses.sum()) <= self.margin * self.size
        return Stop(VerdictClass.HOLDS if within else VerdictClass.LOSES, self.size)

    def interval(self, losses: Floats) -> tuple[float, float]:
        """The mean losses that the pairs so far do not exclude, each end at its level; the mean, once all are drawn."""
        if len(losses) == self.size:
            mean = float(losses.mean())
            return mean, mean
        return -_end(-losses, self.size, self.loses_level), _end(losses, self.size, self.holds_level)


def _end(losses: Floats, size: int, level: float) -> float:
    """The least mean that is excluded; 1 where none is."""
    from scipy.optimize import brentq

    def doubt(mean: float) -> float:
        return (float(p_value_path(losses, size, mean)[-1]) if len(losses) else 1.0) - level

    if doubt(1.0) > 0:
        return 1.0
    found: float = brentq(doubt, -1.0, 1.0, xtol=_PRECISION) if doubt(-1.0) > 0 else -1.0
    return found
