"""Compares one metric of two runs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qharness.results.paired_results import Intervals, PairedMeans
from qharness.stats.analyses import relative_decrease
from qharness.stats.intervals import mean_interval


def paired_means(
    first: NDArray[np.float64], second: NDArray[np.float64], ci95: tuple[float, float], rng: np.random.Generator
) -> PairedMeans:
    """Compare one metric, float64 [problems] of each run; `ci95` is the interval of second less first."""
    a, b = mean_interval(first, rng), mean_interval(second, rng)
    return PairedMeans(
        a.value,
        b.value,
        float((second - first).mean()),
        ci95,
        relative_decrease(a.value, b.value),
        Intervals((a.low, a.high), (b.low, b.high)),
    )
