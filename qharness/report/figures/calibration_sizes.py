"""Scores by how many sequences a quantizer was calibrated on: figure 7 of Wei et al. 2023."""

from __future__ import annotations

from collections.abc import Sequence

from qharness.figure_style import COLOURS, LINES, error_bars, finished, panels, plain, styles
from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.data.selection import by_task
from qharness.report.data.spec_options import calibration_options
from qharness.report.figures.report_figure import ReportFigure, slug
from qharness.report.tables.formatting import problems_text, sizes_caption
from qharness.spec import parse

_SIZE = "n"  # the option of a calibration set that gives its number of sequences


def figures(collection: Collection) -> list[ReportFigure]:
    """A figure for each task that has runs whose calibration sets differ only in how many sequences they hold."""
    drawn = []
    for task, runs in by_task(collection).items():
        series = _series(collection, runs)
        if not series:
            continue
        figure, (axes,) = panels(1)
        for (name, style), of_series in zip(styles(list(series)).items(), series.values(), strict=True):
            points = sorted(of_series, key=lambda point: point[0])
            sizes, scores = [size for size, _ in points], [100 * run.score for _, run in points]
            axes.plot(sizes, scores, **style.line, label=plain(name))
            lows, highs = ([100 * getattr(run.score_interval, end) for _, run in points] for end in ("low", "high"))
            axes.errorbar(sizes, scores, error_bars(scores, lows, highs), **style.intervals)
        full = _full_precision(collection, [run for of_series in series.values() for _, run in of_series])
        for number, (model, run) in enumerate(full.items()):
            colour, dashes = COLOURS[-1 - number % len(COLOURS)], LINES[2 + number % 4]
            label = plain(f"{model}, full precision")
            axes.axhline(100 * run.score, color=colour, linestyle=dashes, label=label)
        metric = runs[0].metric
        axes.set(
            xlabel="calibration sequences (count)", ylabel=f"{metric} (%, {problems_text(runs)})", title=plain(task)
        )
        caption = (
            "Runs that differ in nothing but how many sequences they were calibrated on, with their 95% intervals over "
            f"problems; without markers, full precision. {sizes_caption(runs)} After figure 7 of Wei et al. 2023."
        )
        title = f"{task}: {metric} by calibration sequences"
        drawn.append(ReportFigure(f"calibration-{slug(task)}", title, caption, finished(figure, [axes])))
    return drawn


def _series(collection: Collection, runs: Sequence[FinishedRun]) -> dict[str, list[tuple[int, FinishedRun]]]:
    """(sequences, run) by model, quantizer and kind of calibration set; series of several sizes only."""
    series: dict[str, list[tuple[int, FinishedRun]]] = {}
    for run in runs:
        if run.calib is None:
            continue
        options = calibration_options(run.calib)
        if isinstance(size := options.pop(_SIZE, None), int):
            others = ", ".join(f"{name}={value}" for name, value in options.items() if value not in (None, ""))
            calib = f"{parse(run.calib).name} ({others})" if others else parse(run.calib).name
            name = f"{collection.labels.model(run)}, {collection.labels.quant(run)} on {calib}"
            series.setdefault(name, []).append((size, run))
    return {name: of_series for name, of_series in series.items() if len({size for size, _ in of_series}) > 1}


def _full_precision(collection: Collection, runs: Sequence[FinishedRun]) -> dict[str, FinishedRun]:
    baselines = dict.fromkeys(baseline for run in runs if (baseline := collection.baseline_of(run)) is not None)
    return {collection.labels.model(baseline): baseline for baseline in baselines}
