"""Scores against costs, with the Pareto front of each cost, where intervals part."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from qharness.figure_style import PointLabel, Style, error_bars, finished, panels, plain, styles
from qharness.report.data.collection import Collection
from qharness.report.figures.report_figure import ReportFigure, slug
from qharness.report.tables.formatting import problems_text, sizes_caption
from qharness.report.tables.pareto_front import Cost, CostedRun, costed_runs, known_costs
from qharness.stats.intervals import Interval

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
            places = _places(costed, cost)
            for model, style in looks.items():
                of_model = [each for each in places if collection.labels.model(each.run) == model]
                _draw_points(axes, cost, {each: places[each] for each in of_model}, style, plain(model))
            labels += _draw_front(collection, axes, cost, places)
            axes.set(
                xlabel=f"{cost.name} ({cost.scale(costed).name})",
                ylabel=f"{runs[0].metric} (%, {problems_text(runs)})",
                xscale=_scale([place.cost.value for place in places.values()]),
            )
            for set_formatter in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
                set_formatter(lambda value, _: f"{value:g}")
            axes.tick_params(axis="x", which="both", labelsize="small", rotation=30)
        caption = (
            f"Hollow: another run clearly passes more at clearly no more of the cost. Filled: on the front, where none "
            f"does. A line joins neighbours of which the dearer clearly passes more; without a line, the runs do not "
            f"show which is better. Clearly: the 95% interval of the paired difference by problem excludes 0, and "
            f"quartiles of the cost do not overlap. Bars: 95% intervals of scores over problems, and quartiles of "
            f"costs, which stand on a logarithmic scale where they differ much. {sizes_caption(runs)}"
        )
        title = f"{task}: {runs[0].metric} against what it costs"
        drawn.append(ReportFigure(f"pareto-{slug(task)}", title, caption, finished(figure, all_axes, labels)))
    return drawn


_FACTOR = 4  # between costs that differ much


@dataclass(frozen=True)
class _CostedPoint:
    """The point of a run, with its intervals: its cost in the unit of its axis, and its score in percent."""

    cost: Interval
    score: Interval


def _scale(costs: Sequence[float]) -> str:
    """A logarithmic axis for costs that differ much."""
    return "log" if max(costs) > _FACTOR * min(costs) > 0 else "linear"


def _places(runs: Sequence[CostedRun], cost: Cost) -> dict[CostedRun, _CostedPoint]:
    """The places of the runs whose cost is known."""
    scale = cost.scale(runs).scale
    return {
        each: _CostedPoint(
            _times(each.costs[cost], 1 / scale), _times(replace(each.run.score_interval, value=each.run.score), 100)
        )
        for each in runs
        if not math.isnan(each.costs[cost].value)
    }


def _times(interval: Interval, factor: float) -> Interval:
    return Interval(factor * interval.value, factor * interval.low, factor * interval.high)


def _bars(intervals: Sequence[Interval]) -> list[list[float]]:
    return error_bars(*([getattr(each, end) for each in intervals] for end in ("value", "low", "high")))


def _draw_points(axes: Axes, cost: Cost, places: Mapping[CostedRun, _CostedPoint], style: Style, model: str) -> None:
    """Draw the points of one model with their intervals, filled where they are on the front."""
    for on_front, fill in ((True, style.points["color"]), (False, "#ffffff")):
        costs = [place.cost for each, place in places.items() if (cost in each.fronts) == on_front]
        scores = [place.score for each, place in places.items() if (cost in each.fronts) == on_front]
        if costs:
            axes.errorbar(
                [each.value for each in costs],
                [each.value for each in scores],
                _bars(scores),
                _bars(costs),
                **style.intervals,
                markerfacecolor=fill,
                label=model,
            )


def _draw_front(
    collection: Collection, axes: Axes, cost: Cost, places: Mapping[CostedRun, _CostedPoint]
) -> list[PointLabel]:
    """Draw steps where the front rises clearly; return the labels of all points, of those on the front first."""
    points = {each: (place.cost.value, place.score.value) for each, place in places.items()}
    along = sorted((each for each in points if cost in each.fronts), key=lambda each: points[each])
    for cheaper, dearer in itertools.pairwise(along):
        if dearer.clearly_above(cheaper, cost):
            ends = zip(points[cheaper], points[dearer], strict=True)
            axes.step(*ends, where="post", color="#000000", linewidth=0.8, zorder=1)
    texts = zip(points.items(), collection.labels.points([each.run for each in points]), strict=True)
    ordered = sorted(texts, key=lambda found: cost not in found[0][0].fronts)
    return [PointLabel(axes, *point, text) for (_, point), text in ordered]
