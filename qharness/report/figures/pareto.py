"""Scores against costs, with the Pareto front of each cost, where intervals part."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qharness.figure_style import PointLabel, Style, finished, panels, plain, styles
from qharness.report.data.collection import Collection
from qharness.report.figures.report_figure import ReportFigure, slug
from qharness.report.tables.formatting import problems_text, sizes_caption
from qharness.report.tables.pareto_front import Cost, CostedRun, costed_runs, known_costs

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def figures(collection: Collection) -> list[ReportFigure]:
    """Scores against costs: a figure for each task, a panel for each cost that is known of any run."""
    drawn = []
    for task, costed in costed_runs(collection).items():
        costs, runs = known_costs(costed), [each.run for each in costed]
        looks = styles(sorted(map(collection.labels.model, runs)))
        figure, all_axes = panels(1, len(costs), width=4.2, height=3.8)
        labels: list[PointLabel] = []
        for axes, cost in zip(all_axes, costs, strict=True):
            for model, style in looks.items():
                of_model = [each for each in costed if collection.labels.model(each.run) == model]
                _draw_points(axes, cost, of_model, style, plain(model))
            labels += _draw_front(collection, axes, cost, costed)
            axes.set(
                xlabel=f"{cost.name} ({cost.unit})",
                ylabel=f"{runs[0].metric} (%, {problems_text(runs)})",
                xscale="log",
            )
            for set_formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
                set_formatter(lambda value, _: f"{value:g}")
            axes.tick_params(axis="x", which="both", labelsize="small", rotation=30)
        caption = (
            f"Hollow: another run clearly passes more at clearly no more of the cost. Filled: on the front, where none "
            f"does. A line joins neighbours of which the dearer clearly passes more; without a line, the runs do not "
            f"show which is better. Clearly: the 95% interval of the paired difference by problem excludes 0, and "
            f"quartiles of the cost do not overlap. Costs on a logarithmic scale. {sizes_caption(runs)}"
        )
        title = f"{task}: {runs[0].metric} against what it costs"
        drawn.append(ReportFigure(f"pareto-{slug(task)}", title, caption, finished(figure, all_axes, labels)))
    return drawn


def _draw_points(axes: Axes, cost: Cost, runs: Sequence[CostedRun], style: Style, model: str) -> None:
    """Draw the points of one model, filled where they are on the front."""
    known = [each for each in runs if not math.isnan(each.costs[cost].value)]
    for on_front, fill in ((True, "auto"), (False, "none")):
        points = [_place(each, cost) for each in known if (cost in each.fronts) == on_front]
        if points:
            axes.plot(*zip(*points, strict=True), **style.points, markerfacecolor=fill, label=model)


def _draw_front(collection: Collection, axes: Axes, cost: Cost, runs: Sequence[CostedRun]) -> list[PointLabel]:
    """Draw steps where the front rises clearly; return the labels of all points, of those on the front first."""
    texts = collection.labels.points([each.run for each in runs])
    known = [(each, text) for each, text in zip(runs, texts, strict=True) if not math.isnan(each.costs[cost].value)]
    known.sort(key=lambda point: cost not in point[0].fronts)
    along = sorted((each for each, _ in known if cost in each.fronts), key=lambda each: _place(each, cost))
    for cheaper, dearer in itertools.pairwise(along):
        if dearer.clearly_above(cheaper, cost):
            ends = zip(_place(cheaper, cost), _place(dearer, cost), strict=True)
            axes.step(*ends, where="post", color="#000000", linewidth=0.8, zorder=1)
    return [PointLabel(axes, *_place(each, cost), text) for each, text in known]


def _place(each: CostedRun, cost: Cost) -> tuple[float, float]:
    """The point of a run: its cost, and its score in percent."""
    return each.costs[cost].value, 100 * each.run.score
