"""Which models are worth their cost: pass@1 against gigabytes, latency and CO2, and who is on the front."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qharness.figure_style import PointLabel, finished, panels, plain, styles
from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import PASS, FinishedRun
from qharness.report.figures.pictures import Picture, by_task, point_texts, slug
from qharness.report.page.formatting import extent, problems
from qharness.report.tables.table import Cell, Column, Table, figure, stub
from qharness.storage.json_values import defined

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ON_FRONT = "●"


def front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Which (cost, gain) no other point dominates: at most its cost, at least its gain, and not both equal.

    Points with an undefined coordinate are not on it and dominate nothing.
    """

    def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    known = [point for point in points if not any(map(math.isnan, point))]
    return [point in known and not any(dominates(other, point) for other in known) for point in points]


@dataclass(frozen=True)
class Cost:
    """Something a model costs; `of` gives a run's, NaN where it is not known."""

    name: str
    unit: str
    form: str
    of: Callable[[Collection, FinishedRun], float]


def _latency(collection: Collection, entry: FinishedRun) -> float:
    return defined((collection.profile_of(entry).get("latency_s") or {}).get("median"))


COSTS = (
    Cost("checkpoint", "GB", ".4f", lambda _, entry: 1e-9 * defined(entry.storage_bytes)),
    Cost("latency", "s", ".3f", _latency),
    Cost("1,000 predictions", "gCO2eq", ".3g", lambda c, entry: defined(c.profile_of(entry).get("gco2eq_per_1k"))),
)


@dataclass(frozen=True)
class _Fronts:
    """A task's runs: their costs, and who is on which front; [run][cost]."""

    entries: list[FinishedRun]
    costs: list[list[float]]
    on: list[list[bool]]


def _fronts(collection: Collection, entries: list[FinishedRun]) -> _Fronts:
    costs = [[cost.of(collection, entry) for cost in COSTS] for entry in entries]
    gains = [entry.metrics[PASS] for entry in entries]
    columns = [front([(row[n], gain) for row, gain in zip(costs, gains, strict=True)]) for n in range(len(COSTS))]
    return _Fronts(entries, costs, [list(row) for row in zip(*columns, strict=True)])


def _tasks(collection: Collection) -> dict[str, _Fronts]:
    """Of each task with several runs whose costs are known."""
    found = {task: _fronts(collection, entries) for task, entries in by_task(collection).items()}
    return {task: each for task, each in found.items() if sum(map(any, each.on)) and len(each.entries) > 1}


def tables(collection: Collection) -> list[Table]:
    """One table: each run's pass@1 and costs, marked where it is on that cost's front of its task."""
    rows = []
    tasks = _tasks(collection)
    known = [n for n in range(len(COSTS)) if any(row[n] for found in tasks.values() for row in found.on)]
    for task, found in tasks.items():
        for entry, costs, on in zip(found.entries, found.costs, found.on, strict=True):
            cells = [figure(costs[n], COSTS[n].form) for n in known]
            marks = [Cell(ON_FRONT if on[n] else "", float(on[n])) for n in known]
            names = (task, collection.labels.model(entry), collection.labels.calibrated(entry))
            beside = [cell for pair in zip(cells, marks, strict=True) for cell in pair]
            rows.append((*map(Cell, names), figure(entry.metrics[PASS], ".1f", 100), *beside))
    if not rows:
        return []
    columns = [c for n in known for c in (Column(COSTS[n].name, COSTS[n].unit), Column("on its front"))]
    caption = (
        f"{ON_FRONT}: no run of the task, of any model, has at least this pass@1 at no more of this cost. Sizes are of "
        f"checkpoints; latency and CO2 are of a prediction as profiled, n/a where there is no profile. "
        f"{extent(e for found in tasks.values() for e in found.entries)}"
    )
    heads = (*stub("task", "model", "quantizer"), Column(PASS, "%"), *columns)
    return [Table("pareto", "Who is worth the cost", caption, heads, tuple(rows))]


def pictures(collection: Collection) -> list[Picture]:
    """A figure a task, a panel a cost that is known of any run."""
    made = []
    for task, found in _tasks(collection).items():
        costs = [n for n in range(len(COSTS)) if any(row[n] for row in found.on)]
        looks = styles(sorted({collection.labels.model(entry) for entry in found.entries}))
        sheet, places = panels(1, len(costs), width=4.2, height=3.8)
        named: list[PointLabel] = []
        for axes, n in zip(places, costs, strict=True):
            for model, style in looks.items():
                own = [k for k, entry in enumerate(found.entries) if collection.labels.model(entry) == model]
                points = [(found.costs[k][n], 100 * found.entries[k].metrics[PASS], found.on[k][n]) for k in own]
                _points(axes, points, style.points, plain(model))
            named += _front_line(collection, axes, found, n)
            axes.set(
                xlabel=f"{COSTS[n].name} ({COSTS[n].unit})",
                ylabel=f"{PASS} (%, {problems(found.entries)})",
                xscale="log",
            )
            for ticks in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
                ticks(lambda value, _: f"{value:g}")
            axes.tick_params(axis="x", which="both", labelsize="small", rotation=30)
        caption = (
            f"Filled and joined: on the front, which no run dominates by costing no more and passing no less; hollow: "
            f"dominated. Costs on a logarithmic scale. {extent(found.entries)}"
        )
        title = f"{task}: pass@1 against what it costs"
        made.append(Picture(f"pareto-{slug(task)}", title, caption, finished(sheet, places, named)))
    return made


def _points(axes: Axes, points: Sequence[tuple[float, float, bool]], look: dict[str, Any], model: str) -> None:
    """Points of one model, filled where on the front; its name stands in the legend once."""
    for on, filled in ((True, {}), (False, {"markerfacecolor": "none"})):
        chosen = [(x, y) for x, y, at in points if at == on and not math.isnan(x)]
        if chosen:
            axes.plot(*zip(*chosen, strict=True), **look | filled, label=model)


def _front_line(collection: Collection, axes: Axes, found: _Fronts, n: int) -> list[PointLabel]:
    """Draw the front as steps, each up where a costlier run passes more; labels, those on it first."""
    at = [(found.costs[k][n], 100 * entry.metrics[PASS], found.on[k][n], k) for k, entry in enumerate(found.entries)]
    joined = sorted((x, y) for x, y, on, _ in at if on)
    axes.step(*zip(*joined, strict=True), where="post", color="#000000", linewidth=0.8, zorder=1)
    first = sorted((p for p in at if not math.isnan(p[0])), key=lambda p: not p[2])
    texts = point_texts(collection, found.entries)
    return [PointLabel(axes, x, y, texts[k]) for x, y, _, k in first]
