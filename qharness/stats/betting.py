"""Bets against the mean of a finite population that is drawn without replacement, which may be looked at at any time.

I. Waudby-Smith and A. Ramdas, "Confidence sequences for sampling without replacement" (2020, arXiv 2006.04347) and
"Estimating means of bounded random variables by betting" (2024, arXiv 2010.09686). A gambler who starts with 1 bets
that the mean of all N values is below m. If it were m, then the next value, the t-th, would have the mean of what is
left,

    m_t = (N m - sum of the t - 1 values drawn) / (N - t + 1).

A stake of b >= 0 that is fixed before the draw turns the wealth W into W (1 + b (m_t - x_t)), in expectation W: the
wealth is a martingale (a supermartingale, if the mean is above m), and never negative where b (1 - m_t) <= 1 for values
of at most 1. By Ville's inequality it ever reaches 1 / level with a probability of at most `level`, however often one
looks. So once it has, a mean of m or more is excluded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SHARES = np.geomspace(0.02, 0.95, 12)[:, None]
"""Of the largest stake that cannot ruin: the wealth is split evenly over gamblers who stake these shares."""
_LARGE = 700.0  # a logarithm whose exponential is a float

Floats = NDArray[np.float64]


def wealth_path(values: Floats, size: int, mean: float) -> Floats:
    """The wealth after each draw of a bet that the mean of `size` values is below `mean`: float64 [draws] of [draws].

    The values are from -1 to 1, in the order in which they were drawn. The wealth is infinite once what is left cannot
    make such a mean any more, whatever it is.
    """
    draws = np.arange(len(values))
    before = np.cumsum(values) - values
    mean_left = np.maximum((size * mean - before) / (size - draws), -1.0)
    possible = mean_left < 1
    stakes = np.divide(_SHARES, 1 - mean_left, out=np.zeros((len(_SHARES), len(values))), where=possible)
    logarithms = np.cumsum(np.log1p(stakes * (mean_left - values)), axis=1)
    wealth: Floats = np.exp(np.minimum(logarithms, _LARGE)).mean(axis=0)
    excluded = before + values + (size - draws - 1) < size * mean  # even if all that is left were 1
    wealth[excluded] = np.inf
    return wealth


def p_value_path(values: Floats, size: int, mean: float) -> Floats:
    """The p-value of "the mean is `mean` or more" after each draw, valid at all of them: 1 by the greatest wealth."""
    found: Floats = 1 / np.maximum(np.maximum.accumulate(wealth_path(values, size, mean)), 1.0)
    return found
