"""Memory saved against pass@1 lost: figure 1 of Giagnorio et al. 2025."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qharness.figure_style import LINES, PointLabel, error_bars, finished, panels, plain, styles
from qharness.report.data.collection import Collection
from qharness.report.data.selection import by_task
from qharness.report.figures.report_figure import ReportFigure
from qharness.report.tables.formatting import problems_text, sizes_caption
from qharness.spec import parse
from qharness.stats.analyses import relative_decrease


@dataclass(frozen=True)
class Saving:
    """What one run saves and loses, in percent of full precision; `change` is negative where pass@1 is lost.

    `low`, `high`: the 95% interval of the change; NaN where there is none. `series`: the model, the quantizer's name
    and the benchmark, which the points of one line share.
    """

    language: str
    series: tuple[str, str, str]
    quant: str
    saved: float
    change: float
    low: float
    high: float


def savings(collection: Collection) -> list[Saving]:
    """The savings of the quantized runs on original prompts with known sizes, where full precision passes anything."""
    points = []
    labels = collection.labels
    for runs in by_task(collection).values():
        for run, text in zip(runs, labels.points(runs), strict=True):
            baseline, comparison = collection.baseline_of(run), collection.comparison(run)
            if not (baseline and comparison and run.storage_bytes and baseline.storage_bytes):
                continue
            change = relative_decrease(comparison.main.a, comparison.main.b)
            if math.isnan(change):
                continue
            saved = 100 * (1 - run.storage_bytes / baseline.storage_bytes)
            family = labels.quant(run) if run.checkpoint else parse(run.quant).name
            low, high = (100 * bound / comparison.main.a for bound in comparison.main.ci95)
            series = labels.model(run), family, run.benchmark
            points.append(Saving(run.language, series, text, saved, change, low, high))
    return points


def figures(collection: Collection) -> list[ReportFigure]:
    """The figure, a panel for each language; none where no run has a known size and full precision beside it."""
    points = savings(collection)
    if not points:
        return []
    languages = sorted({point.language for point in points})
    models, benchmarks = {point.series[:2] for point in points}, {point.series[2] for point in points}
    looks = styles(sorted(", ".join(model) for model in models))
    dashes = dict(zip(sorted(benchmarks), LINES * len(points), strict=False))
    figure, all_axes = panels(1, len(languages), width=4.6, height=4.2)
    runs = [run for of_task in by_task(collection).values() for run in of_task]
    labels = []
    for axes, language in zip(all_axes, languages, strict=True):
        of_language = [point for point in points if point.language == language]
        for series in sorted({point.series for point in of_language}):
            model, family, benchmark = series
            of_series = [point for point in of_language if point.series == series]
            style = looks[f"{model}, {family}"]
            axes.errorbar(
                [p.saved for p in of_series],
                [p.change for p in of_series],
                error_bars([p.change for p in of_series], [p.low for p in of_series], [p.high for p in of_series]),
                **style.intervals,
                label=plain(", ".join(series)),
            )
            line = [(0.0, 0.0), *_means(of_series)]
            axes.plot(*zip(*line, strict=True), color=style.line["color"], linestyle=dashes[benchmark], linewidth=1.2)
            labels += [PointLabel(axes, p.saved, p.change, p.quant) for p in of_series]
        axes.axhline(0, color="#000000", linewidth=0.8)
        count = problems_text(run for run in runs if run.language == language)
        axes.set(title=f"{language}, {count}", xlabel="checkpoint's bytes saved (%)")
        axes.set_ylabel("pass@1, change (% of full precision's)")
    caption = (
        "Each marker is a run of a quantized model against full precision of the same model, with the 95% interval of "
        "the difference by problem; a line, dashed by benchmark, goes through the mean of those of one size and begins "
        "at full precision, where nothing is saved or lost. Below 0, pass@1 is lost. "
        f"{sizes_caption(runs)} After figure 1 of Giagnorio et al. 2025."
    )
    return [ReportFigure("savings", "Memory saved against pass@1 lost", caption, finished(figure, all_axes, labels))]


def _means(points: Sequence[Saving]) -> list[tuple[float, float]]:
    """The mean change at each saving, by saving."""
    sizes = sorted({point.saved for point in points})
    return [(size, float(np.mean([point.change for point in points if point.saved == size]))) for size in sizes]
