"""What a reader wants to know first: the smallest quantized model whose loss is not shown, and what could have been."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import PASS, FinishedRun
from qharness.report.figures.pictures import by_task, point_texts
from qharness.report.page.formatting import counted
from qharness.stats.intervals import LEVEL
from qharness.stats.paired import POWER
from qharness.storage.json_values import defined


@dataclass(frozen=True)
class Loss:
    """A quantized run against full precision; rates and differences from 0 to 1, undefined ones NaN.

    `saved`: the part of full precision's checkpoint that is saved. `detectable`: the smallest difference that could
    have been shown.
    """

    quant: str
    passed: float
    full: float
    difference: float
    interval: tuple[float, float]
    p_value: float
    detectable: float
    n_problems: int
    n_samples: int
    bytes: float
    saved: float

    @property
    def shown(self) -> bool:
        """Whether the paired test by problem shows a loss."""
        return self.difference < 0 and self.p_value < LEVEL


@dataclass(frozen=True)
class Finding:
    """All losses of one model on one task; `smallest` is the smallest checkpoint of those whose loss is not shown."""

    model: str
    task: str
    losses: tuple[Loss, ...]

    @property
    def smallest(self) -> Loss | None:
        """None where every run's loss is shown, or no size is known."""
        return min((o for o in self.losses if not o.shown and o.bytes > 0), key=lambda o: o.bytes, default=None)

    @property
    def sentences(self) -> list[str]:
        """What it says, in words."""
        shown = sorted((loss for loss in self.losses if loss.shown), key=lambda loss: -loss.difference)
        said = [_smallest(self.smallest, len(self.losses))] if self.smallest else []
        if len(shown) == len(self.losses):
            said.append(f"Every one of {counted(len(shown), 'quantized run')} loses, and is shown to.")
        elif self.smallest is None:
            said.append("No run whose loss is not shown has a known size.")
        if shown:
            named = ", ".join(f"{loss.quant} ({_points(loss.difference)})" for loss in shown)
            said.append(f"Shown to lose, in points of {PASS}: {named}.")
        return said


def findings(collection: Collection) -> list[Finding]:
    """A finding for each model and task with runs to compare, in their order."""
    found: dict[tuple[str, str], list[Loss]] = {}
    for task, entries in by_task(collection).items():
        for entry, text in zip(entries, point_texts(collection, entries), strict=True):
            baseline, document = collection.baseline_of(entry), collection.comparison(entry)
            if document is not None and not entry.full and "paper" in document:
                found.setdefault((collection.labels.model(entry), task), []).append(
                    _loss(entry, baseline, document, text)
                )
    return [Finding(model, task, tuple(losses)) for (model, task), losses in found.items()]


def _loss(entry: FinishedRun, baseline: FinishedRun | None, document: Mapping[str, Any], text: str) -> Loss:
    passed, size = document[PASS], defined(entry.storage_bytes)
    low, high = (defined(end) for end in passed["ci95"])
    return Loss(
        quant=text,
        passed=defined(passed["b"]),
        full=defined(passed["a"]),
        difference=defined(passed["difference"]),
        interval=(low, high),
        p_value=defined(document["clustered"]["p_value"]),
        detectable=defined(document["smallest_detectable_difference"]),
        n_problems=document["n_problems"],
        n_samples=document["n_pairs"] // max(1, document["n_problems"]),
        bytes=size,
        saved=1 - size / defined(baseline.storage_bytes if baseline else None),
    )


def _smallest(loss: Loss, runs: int) -> str:
    less = "" if math.isnan(loss.saved) else f", {100 * loss.saved:.0f}% less than full precision"
    could = (
        "no difference between problems is known, so neither is what could have been shown"
        if math.isnan(loss.detectable)
        else f"a difference of {100 * loss.detectable:.1f} points or more could have been shown with power {POWER}"
    )
    samples = counted(loss.n_problems, "problem") + f" of {counted(loss.n_samples, 'sample')}"
    return (
        f"{loss.quant} is the smallest whose loss is not shown, of {counted(runs, 'quantized run')}: "
        f"{100 * loss.passed:.1f}% {PASS} against {100 * loss.full:.1f}%, {_points(loss.difference)} points (95% "
        f"interval {_points(loss.interval[0])} to {_points(loss.interval[1])}, p = {_shown(loss.p_value, '.3f')}), in "
        f"{loss.bytes / 1e6:,.1f} MB{less}. On {samples}, {could}."
    )


def _points(value: float) -> str:
    return _shown(100 * value, "+.1f")


def _shown(value: float, form: str) -> str:
    return "n/a" if math.isnan(value) else format(value, form)
