"""The table of metrics. A new metric of texts is one function and one row of TEXT_METRICS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qharness.metrics.bleu import smoothed_bleu_4


@dataclass(frozen=True)
class TextMetric:
    """A metric of one text: `score(reference, text)`, a number in `unit`.

    A task's YAML names it as `metric: !function qharness.filters.NAME`.
    """

    score: Callable[[str, str], float]
    unit: str


def bleu_percent(reference: str, text: str) -> float:
    """Smoothed BLEU-4 in percent; its mean over documents is CodeXGLUE's score."""
    return 100 * smoothed_bleu_4(reference, text)


TEXT_METRICS: Mapping[str, TextMetric] = {
    "bleu": TextMetric(bleu_percent, "percent"),
}
"""By name."""


def unit_of(metric: str) -> str:
    """The unit of a metric's values: of pass@k, for any k, and of the table's; empty for others."""
    if metric.startswith("pass@"):
        return "ratio"
    return TEXT_METRICS[metric].unit if metric in TEXT_METRICS else ""
