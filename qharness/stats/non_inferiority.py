"""Non-inferiority of a quantized model: what paired completions say of its loss, problem by problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from qharness.results.paired_results import PairedCounts
from qharness.results.verdict import LossBounds
from qharness.specs import MaxLoss
from qharness.stats.dirichlet_mean import WeightedValues, share_above
from qharness.stats.intervals import LEVEL
from qharness.stats.paired import POWER

_Floats = NDArray[np.float64]
_MOST = 1 << 20  # problems or samples that "more would tell" looks for
_LOWEST_RELATIVE = -1000.0  # a gain of a thousand times full precision's pass@1
_PRECISION = 1e-9


@dataclass(frozen=True)
class LossEvidence:
    """The pairs of one task, [m] kinds of problems each: how many problems, and their pass rates and disagreement.

    `problems`: float64, how many problems of this kind there are. `full`, `quantized`: their pass rates. `both`: the
    share of pairs in which both models pass. `samples`: pairs of each problem.
    """

    problems: _Floats
    full: _Floats
    quantized: _Floats
    both: _Floats
    samples: _Floats
    margin: MaxLoss

    @classmethod
    def of(cls, counts: Sequence[PairedCounts], margin: MaxLoss) -> LossEvidence:
        """Take the evidence from a comparison's counts of pairs."""
        columns = [[each.both, each.a_only, each.b_only, each.neither, each.problems] for each in counts]
        both, a_only, b_only, neither, problems = np.array(columns, dtype=np.float64).T
        samples = both + a_only + b_only + neither
        return cls(problems, (both + a_only) / samples, (both + b_only) / samples, both / samples, samples, margin)

    @property
    def n(self) -> float:
        """The number of problems."""
        return float(self.problems.sum())

    @property
    def means(self) -> tuple[float, float]:
        """Pass@1 of full precision and of the quantized model."""
        full, quantized = (float(self.problems @ rates) / self.n for rates in (self.full, self.quantized))
        return full, quantized

    @property
    def estimate(self) -> float:
        """The loss: a fraction of all completions, or with a relative margin of those that full precision passes."""
        full, quantized = self.means
        if self.margin.relative:
            return (full - quantized) / full if full else math.nan
        return full - quantized

    def _values(self, margin: float) -> WeightedValues:
        """Each problem's loss above a margin; a mean of zero is a loss of exactly the margin."""
        return WeightedValues(self._kept(margin) * self.full - self.quantized - self._base(margin), self.problems)

    def _kept(self, margin: float) -> float:
        """The factor of full precision's pass rate: what must be left of it, where the margin is relative."""
        return 1 - margin if self.margin.relative else 1.0

    def _base(self, margin: float) -> float:
        return 0.0 if self.margin.relative else margin

    def _worst(self, margin: float) -> float:
        """The loss above the margin on a problem that full precision always passes and the quantized model never."""
        return self._kept(margin) - self._base(margin)

    def _best(self, margin: float) -> float:
        """The same where the quantized model always passes and full precision never."""
        return -1.0 - self._base(margin)

    def p_holds(self, margin: float | None = None) -> float:
        """Return the p-value of "the loss is at least the margin": small where the quantized model holds."""
        at = self.margin.fraction if margin is None else margin
        return share_above(self._values(at).with_one(self._worst(at)), 0.0)

    def p_loses(self, margin: float | None = None) -> float:
        """Return the p-value of "the loss is at most the margin": small where the quantized model loses."""
        at = self.margin.fraction if margin is None else margin
        return 1 - share_above(self._values(at).with_one(self._best(at)), 0.0)

    def bounds(self, holds_level: float = LEVEL, loses_level: float = LEVEL) -> LossBounds:
        """Return the loss with an upper and a lower bound, in percent, each at a one-sided level.

        The upper bound is at most the margin exactly where p_holds is at most its level, the lower one at least the
        margin exactly where p_loses is.
        """
        upper = self._root(lambda margin: self.p_holds(margin) - holds_level)
        lower = self._root(lambda margin: loses_level - self.p_loses(margin))
        return LossBounds(100 * self.estimate, 100 * lower, 100 * upper)

    def _root(self, decreasing: Callable[[float], float]) -> float:
        from scipy.optimize import brentq

        low, high = _LOWEST_RELATIVE if self.margin.relative else -1.0, 1.0
        if decreasing(low) <= 0:
            return low
        if decreasing(high) >= 0:
            return high
        found: float = brentq(decreasing, low, high, xtol=_PRECISION)
        return found

    @property
    def silent(self) -> bool:
        """Whether these problems could not have shown a loss of the margin, whatever the quantized model did.

        Floor: full precision passes so little, or problems are so few, that not even a model that passes nothing
        would be shown to lose more than the margin. Ceiling: full precision passes everything, on so few problems
        that a model which fails on a share of problems equal to the margin would pass them all with probability
        above 0.05.
        """
        return self.at_floor or self.at_ceiling

    @property
    def at_floor(self) -> bool:
        """Whether not even a model that passes nothing would be shown to lose."""
        nothing = np.zeros_like(self.full)
        return replace(self, quantized=nothing, both=nothing).p_loses() > LEVEL

    @property
    def at_ceiling(self) -> bool:
        """Whether full precision passes everything, on too few problems to see a loss of the margin."""
        return bool(np.all(self.full == 1)) and (1 - self.margin.fraction) ** self.n > LEVEL

    def more_problems(self) -> int | None:
        """Return how many more problems like these would tell with probability 0.8; None where none would."""
        return _least(lambda more: self._would_tell((self.n + more) / self.n, 1.0))

    def more_samples(self) -> int | None:
        """Return how many more samples of each problem would tell with probability 0.8.

        None where none would, and where problems have one sample, which tells nothing of their own variance.
        """
        own = float(self.samples.min())
        variance = self._variance()
        if own < 2 or variance == 0:
            return None
        within = self._within_variance()
        between = max(0.0, variance - within / own)
        return _least(lambda more: self._would_tell(1.0, math.sqrt((between + within / (own + more)) / variance)))

    def _variance(self) -> float:
        """The variance of the problems' losses."""
        values = self._values(self.margin.fraction)
        mean = float(values.counts @ values.values) / self.n
        return float(values.counts @ (values.values - mean) ** 2) / self.n

    def _within_variance(self) -> float:
        """The mean over problems of the variance of one pair's loss."""
        kept = self._kept(self.margin.fraction)
        first, second = self.full - self.both, self.quantized - self.both  # shares that one model alone passes
        square = self.both * (kept - 1) ** 2 + first * kept**2 + second
        variance = (square - (kept * self.full - self.quantized) ** 2) * self.samples / (self.samples - 1)
        return float(self.problems @ variance) / self.n

    def _would_tell(self, times: float, spread: float) -> bool:
        """Whether `times` the problems, whose losses spread `spread` times as much, would tell with probability 0.8.

        The losses are these, moved towards the margin by the normal quantile of the power times their standard error.
        """
        at = self.margin.fraction
        values = self._values(at)
        mean = float(values.counts @ values.values) / self.n
        error = spread * math.sqrt(self._variance() / (self.n * times)) * NormalDist().inv_cdf(POWER)
        holds = mean < 0
        moved = mean + (values.values - mean) * spread + (error if holds else -error)
        more = WeightedValues(moved, values.counts).more(times)
        above = share_above(more.with_one(self._worst(at) if holds else self._best(at)), 0.0)
        return (above if holds else 1 - above) <= LEVEL


def _least(tells: Callable[[int], bool]) -> int | None:
    """The least number that tells, within one part in a hundred; None where none up to `_MOST` does."""
    high = 1
    while not tells(high):
        if high >= _MOST:
            return None
        high *= 2
    low = high // 2
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if tells(middle) else (middle, high)
    return high
