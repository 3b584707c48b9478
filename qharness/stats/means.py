"""What a comparison says of one metric."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qharness.stats.analyses import relative_decrease
from qharness.stats.intervals import mean_interval


def paired_means(
    first: NDArray[np.float64], second: NDArray[np.float64], ci95: tuple[float, float], rng: np.random.Generator
) -> dict[str, Any]:
    """The part of compare's document on a metric, float64 [problems] of each run; `ci95` is of second less first.

    `relative_change` is in percent of the first run's mean; `intervals` are of each run's own mean.
    """
    a, b = mean_interval(first, rng), mean_interval(second, rng)
    return {
        "a": a.value,
        "b": b.value,
        "difference": float((second - first).mean()),
        "ci95": list(ci95),
        "relative_change": relative_decrease(a.value, b.value),
        "intervals": {"a": [a.low, a.high], "b": [b.low, b.high]},
    }
