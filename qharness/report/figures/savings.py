"""Memory saved against pass@1 lost: figure 1 of Giagnorio et al. 2025."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qharness.figure_style import LINES, PointLabel, finished, panels, plain, styles
from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import PASS
from qharness.report.figures.pictures import Picture, by_task, point_texts
from qharness.report.page.formatting import extent, problems
from qharness.spec import parse
from qharness.stats.analyses import relative_decrease


@dataclass(frozen=True)
class Saving:
    """What one run saves and loses, in percent of full precision; `change` is negative where pass@1 is lost."""

    language: str
    benchmark: str
    model: str
    family: str
    quant: str
    saved: float
    change: float


def savings(collection: Collection) -> list[Saving]:
    """Of each quantized run on original prompts whose sizes are known and whose full precision passes anything."""
    found = []
    for entries in by_task(collection).values():
        for entry, text in zip(entries, point_texts(collection, entries), strict=True):
            baseline, document = collection.baseline_of(entry), collection.comparison(entry)
            if baseline is None or document is None or not (entry.storage_bytes and baseline.storage_bytes):
                continue
            change = relative_decrease(document[PASS]["a"], document[PASS]["b"])
            if math.isnan(change):
                continue
            found.append(
                Saving(
                    entry.language,
                    entry.benchmark,
                    collection.labels.model(entry),
                    collection.labels.quant(entry) if entry.checkpoint else parse(entry.quant).name,
                    text,
                    100 * (1 - entry.storage_bytes / baseline.storage_bytes),
                    change,
                )
            )
    return found


def picture(collection: Collection) -> list[Picture]:
    """The figure, a panel a language; none where no run has a size and a full precision to stand against."""
    points = savings(collection)
    if not points:
        return []
    languages = sorted({p.language for p in points})
    looks = styles(sorted({f"{p.model}, {p.family}" for p in points}))
    dashes = dict(zip(sorted({p.benchmark for p in points}), LINES * len(points), strict=False))
    figure, places = panels(1, len(languages), width=4.6, height=4.2)
    quantized = [e for found in by_task(collection).values() for e in found]
    named = []
    for axes, language in zip(places, languages, strict=True):
        here = [p for p in points if p.language == language]
        for series in sorted({(p.model, p.family, p.benchmark) for p in here}):
            of_series = [p for p in here if (p.model, p.family, p.benchmark) == series]
            style = looks[f"{series[0]}, {series[1]}"]
            axes.plot([p.saved for p in of_series], [p.change for p in of_series], **style.points)
            through = [(0.0, 0.0), *_means(of_series)]
            look = style.line | {"linestyle": dashes[series[2]]}
            axes.plot(*zip(*through, strict=True), **look, markevery=slice(1, None), label=plain(", ".join(series)))
            named += [PointLabel(axes, p.saved, p.change, p.quant) for p in of_series]
        axes.axhline(0, color="#000000", linewidth=0.8)
        count = problems(entry for entry in quantized if entry.language == language)
        axes.set(title=f"{language}, {count}", xlabel="checkpoint's bytes saved (%)")
        axes.set_ylabel("pass@1, change (% of full precision's)")
    caption = (
        "Each point is a run of a quantized model against full precision of the same model; a line goes through the "
        "mean of those of one size and begins at full precision, where nothing is saved or lost. Below 0, pass@1 is "
        f"lost. {extent(quantized)} After figure 1 of Giagnorio et al. 2025."
    )
    return [Picture("savings", "Memory saved against pass@1 lost", caption, finished(figure, places, named))]


def _means(points: Sequence[Saving]) -> list[tuple[float, float]]:
    """Mean change at each saving, by saving."""
    sizes = sorted({p.saved for p in points})
    return [(size, float(np.mean([p.change for p in points if p.saved == size]))) for size in sizes]
