"""The weighted mean behind Gaffke's test of a bounded mean, which keeps its level at any size and any variance.

N. Gaffke, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative variable",
Mathematical Methods of Statistics 14 (2005); M. Learned-Miller and P. Thomas study the bound in arXiv 1905.06208.
The test adds one observation to the n there are, at the end of the variable's range, and weighs the n + 1 of them by a
Dirichlet(1, ..., 1) vector: the p-value of "the mean is at least m" is the probability that the weighted mean exceeds
m. For observations that are 0 or 1 this is the exact binomial test; for many observations it is the normal one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_STEP = 0.05  # of the logarithm of the variable of integration: the error of a share is below 1e-8
_LOWEST = -36.0
_NEGLIGIBLE = 36.0  # the integrand is below exp(-36) where its damping is


@dataclass(frozen=True)
class WeightedValues:
    """Distinct `values`, float64 [m], each observed `counts` times, float64 [m]; counts need not be whole."""

    values: NDArray[np.float64]
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, observations: NDArray[np.float64]) -> WeightedValues:
        """Count float64 [n]."""
        values, counts = np.unique(observations, return_counts=True)
        return cls(values, counts.astype(np.float64))

    def with_one(self, value: float) -> WeightedValues:
        """Add one observation."""
        return WeightedValues(np.append(self.values, value), np.append(self.counts, 1.0))

    def more(self, times: float) -> WeightedValues:
        """Return as many times the observations, of the same values."""
        return WeightedValues(self.values, self.counts * times)


def share_above(weighted: WeightedValues, threshold: float) -> float:
    """Return the probability that the mean of the values exceeds a threshold under Dirichlet(counts) weights.

    The weights are gamma variables G_i of shapes counts_i, divided by their sum, so the event is
    sum_i G_i (value_i - threshold) > 0. Its probability is Imhof's integral (Biometrika 48, 1961, equation 3.2),

        1/2 + 1/pi  integral over u > 0 of  sin(sum_i c_i arctan(a_i u)) / (u prod_i (1 + a_i^2 u^2)^(c_i / 2)),

    taken by the trapezoidal rule in log u. 0 or 1 where no value lies on the other side of the threshold.
    """
    offsets, counts = weighted.values - threshold, weighted.counts
    if not np.any(offsets > 0):
        return 0.0
    if not np.any(offsets < 0):
        return 1.0
    scaled = offsets / math.sqrt(float(np.sum(counts * offsets**2)))
    u = np.exp(np.arange(_LOWEST, _highest(scaled, counts), _STEP))
    products = np.outer(u, scaled)
    angle = np.arctan(products) @ counts
    damping = np.exp(-0.5 * (np.log1p(products**2) @ counts))
    share = 0.5 + _STEP / math.pi * float(np.sum(np.sin(angle) * damping))
    return min(1.0, max(0.0, share))


def _highest(scaled: NDArray[np.float64], counts: NDArray[np.float64]) -> float:
    """Return a logarithm of u above which the integrand's damping is negligible."""
    highest = 2.0
    while 0.5 * float(np.log1p(np.exp(2 * highest) * scaled**2) @ counts) < _NEGLIGIBLE:
        highest += 2.0
    return highest
