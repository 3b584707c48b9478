"""A confidence sequence for the mean of a finite population that is drawn without replacement, by betting.

I. Waudby-Smith and A. Ramdas, "Confidence sequences for sampling without replacement" (2020, arXiv 2006.04347), and
"Estimating means of bounded random variables by betting" (2024, arXiv 2010.09686, section 4). A gambler who starts with 1
bets against "the mean of the population is m". Were it so, the next value would have the mean of what is left,

    m_t = (N m - sum of the values drawn) / (N - t + 1),

so a bet of b_t, chosen before the draw, turns the wealth W into W (1 + b_t (m_t - x_t)), in expectation W: the
wealth is a martingale, and not negative where b_t is small enough. By Ville's inequality it ever reaches 1/level with a
probability of at most `level`. So a mean whose wealth did is excluded, and that may be looked at after each draw.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_FIRST_VARIANCE = 0.05  # of a pair's loss, as if it had been seen once
_SHARE = 0.75  # of the largest bet that keeps the wealth above 0
_STAKES = (0.25, 0.5, 1.0, 2.0)  # times the bet that would be best for the variance so far; wealth is split over them

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Population:
    """`size` values between `least` and `greatest`, drawn one by one in a random order."""

    size: int
    least: float = -1.0
    greatest: float = 1.0

    def mean_left(self, mean: float, drawn: Floats) -> Floats:
        """The mean of what is left before each draw, were `mean` that of all: float64 [draws] of these draws."""
        before = np.concatenate([[0.0], np.cumsum(drawn)[:-1]])
        return (self.size * mean - before) / (self.size - np.arange(len(drawn)))


@dataclass
class Wager:
    """A bet, renewed with each draw, that the mean of a population is below `mean`.

    `wealth`: of each stake, float64 [stakes], logarithms. `settled`: what was drawn leaves no doubt: the mean is `below`
    or is not, whatever is still to be drawn.
    """

    population: Population
    mean: float
    level: float
    drawn: int = 0
    total: float = 0.0
    squares: float = 0.0
    log_wealth: Floats = field(default_factory=lambda: np.zeros(len(_STAKES)))
    greatest_wealth: float = 1.0
    impossible: bool = False

    def draw(self, value: float) -> None:
        """Bet, and see the next value."""
        population, left = self.population, self.population.size - self.drawn
        if left <= 0:
            raise ValueError(f"all {population.size} values have been drawn")
        expected = (population.size * self.mean - self.total) / left
        if expected > population.greatest:  # not even the greatest values would give such a mean
            self.impossible = True
        else:
            self.log_wealth = self.log_wealth + np.log1p(self._bets(expected) * (expected - value))
            wealth = float(np.exp(self.log_wealth).mean())
            self.greatest_wealth = max(self.greatest_wealth, wealth)
        self.drawn += 1
        self.total += value
        self.squares += value * value

    def _bets(self, expected: float) -> Floats:
        """The bets on the next value, float64 [stakes], none so large that the greatest value could ruin.

        Each is a multiple of (m_t - the mean so far) / (the variance so far), which is the best bet for small ones.
        """
        mean = self.total / (self.drawn + 1)
        variance = (_FIRST_VARIANCE + max(0.0, self.squares - self.drawn * mean * mean)) / (self.drawn + 1)
        return np.zeros(1)

    @property
    def below(self) -> bool:
        """Whether a mean of `mean` or more is excluded."""
        return self.impossible or self.greatest_wealth >= 1 / self.level
