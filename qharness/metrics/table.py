"""The table of metrics. A new metric of texts is one function and one row of TEXT_METRICS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qharness.metrics.bleu import smoothed_bleu_4

_PASS_AT = "pass@"  # noqa: S105 - of metrics' names


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


def stage_metric(stage: str, k: int) -> str:
    """The name of pass@k of one stage of a task's cases, as `base_pass@1`; `pass@1` where the stage is empty."""
    return f"{stage}_{_PASS_AT}{k}" if stage else f"{_PASS_AT}{k}"


def stage_and_k(metric: str) -> tuple[str, int] | None:
    """The stage, empty for all, and k of a metric that is a pass@k; None for another metric."""
    stage, found, k = metric.rpartition(_PASS_AT)
    return (stage.removesuffix("_"), int(k)) if found and k.isdigit() else None


def unit_of(metric: str) -> str:
    """The unit of a metric's values: of pass@k, for any k and stage, and of the table's; empty for others."""
    if stage_and_k(metric):
        return "ratio"
    return TEXT_METRICS[metric].unit if metric in TEXT_METRICS else ""
