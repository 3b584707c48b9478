"""The findings at the top of the page: the smallest quantized model without a significant loss, for each task."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qharness.report.data.collection import Collection
from qharness.report.data.selection import by_task
from qharness.report.tables.columns import UNDEFINED
from qharness.report.tables.formatting import plural
from qharness.results import Comparison
from qharness.stats.intervals import LEVEL
from qharness.stats.paired import POWER
from qharness.storage.json_values import defined

UNCOUPLED = "The two runs do not share their random numbers: the interval holds the noise of both draws."


@dataclass(frozen=True)
class Loss:
    """A quantized run against full precision; its size in bytes, and the fraction of full precision's that it saves.

    `size` and `saved` are NaN where they are not known.
    """

    quant: str
    comparison: Comparison
    size: float
    saved: float

    @property
    def difference(self) -> float:
        """The difference to full precision, from -1 to 1."""
        return self.comparison.main.difference

    @property
    def significant(self) -> bool:
        """Whether the paired test by problem shows a loss."""
        return self.difference < 0 and self.comparison.clustered.p_value < LEVEL


@dataclass(frozen=True)
class Finding:
    """All losses of one model on one task."""

    model: str
    task: str
    losses: tuple[Loss, ...]

    @property
    def smallest(self) -> Loss | None:
        """The smallest checkpoint without a significant loss; None where there is none of a known size."""
        candidates = (loss for loss in self.losses if not loss.significant and loss.size > 0)
        return min(candidates, key=lambda loss: loss.size, default=None)

    @property
    def sentences(self) -> list[str]:
        """The finding in words."""
        significant = sorted((loss for loss in self.losses if loss.significant), key=lambda loss: -loss.difference)
        sentences = [_smallest(self.smallest, len(self.losses))] if self.smallest else []
        if len(significant) == len(self.losses):
            sentences.append(f"Every one of {plural(len(significant), 'quantized run')} loses, and is shown to.")
        elif self.smallest is None:
            sentences.append("No run whose loss is not shown has a known size.")
        if significant:
            losses = ", ".join(f"{loss.quant} ({_points(loss.difference)})" for loss in significant)
            sentences.append(f"Shown to lose, in points of {significant[0].comparison.main_metric}: {losses}.")
        return sentences


def findings(collection: Collection) -> list[Finding]:
    """A finding for each model and task with runs to compare, in their order."""
    losses: dict[tuple[str, str], list[Loss]] = {}
    for task, runs in by_task(collection).items():
        for run, label in zip(runs, collection.labels.points(runs), strict=True):
            baseline, comparison = collection.baseline_of(run), collection.comparison(run)
            if comparison is not None and not run.full and comparison.paper is not None:
                size = defined(run.storage_bytes)
                saved = 1 - size / defined(baseline.storage_bytes if baseline else None)
                key = (collection.labels.model(run), task)
                losses.setdefault(key, []).append(Loss(label, comparison, size, saved))
    return [Finding(model, task, tuple(each)) for (model, task), each in losses.items()]


def _smallest(loss: Loss, runs: int) -> str:
    """The sentence about the smallest checkpoint without a significant loss."""
    comparison, means = loss.comparison, loss.comparison.main
    less = "" if math.isnan(loss.saved) else f", {100 * loss.saved:.0f}% less than full precision"
    detectable = comparison.smallest_detectable_difference
    power = (
        "no difference between problems is known, so neither is what could have been shown"
        if math.isnan(detectable)
        else f"a difference of {100 * detectable:.1f} points or more could have been shown with power {POWER}"
    )
    samples = comparison.n_pairs // max(1, comparison.n_problems)
    draws = "" if comparison.coupled else f" {UNCOUPLED}"
    low, high = means.ci95
    return (
        f"{loss.quant} is the smallest whose loss is not shown, of {plural(runs, 'quantized run')}: "
        f"{100 * means.b:.1f}% {comparison.main_metric} against {100 * means.a:.1f}%, {_points(loss.difference)} "
        f"points (95% interval {_points(low)} to {_points(high)}, p = {_number(comparison.clustered.p_value, '.3f')}), "
        f"in {loss.size / 1e6:,.1f} MB{less}. On {plural(comparison.n_problems, 'problem')} of "
        f"{plural(samples, 'sample')}, {power}.{draws}"
    )


def _points(value: float) -> str:
    return _number(100 * value, "+.1f")


def _number(value: float, form: str) -> str:
    return UNDEFINED if math.isnan(value) else format(value, form)
