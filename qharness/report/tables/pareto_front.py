"""Models that are worth their cost: each run's score and costs, and the Pareto front of each cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.data.selection import by_task
from qharness.report.tables.formatting import sizes_caption
from qharness.report.tables.table import Cell, CellColumn, Table, number, stub, table_of
from qharness.results import CostProfile
from qharness.storage.json_values import defined

ON_FRONT = "●"


def front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Whether each (cost, score) is on the Pareto front: no other point costs no more and scores no less.

    Of equal points, all or none are on it. Points with an undefined coordinate are not, and dominate nothing.
    """

    def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    known = [point for point in points if not any(map(math.isnan, point))]
    return [point in known and not any(dominates(other, point) for other in known) for point in points]


@dataclass(frozen=True)
class Cost:
    """A cost of a model; `of` gives that of a run and its profile, None or NaN where it is not known."""

    name: str
    unit: str
    form: str
    of: Callable[[FinishedRun, CostProfile | None], float | None]


COSTS = (
    Cost("checkpoint", "GB", ".4f", lambda run, _: 1e-9 * defined(run.storage_bytes)),
    Cost("latency", "s", ".3f", lambda _, profile: profile.latency_s.median if profile else None),
    Cost("1,000 predictions", "gCO2eq", ".3g", lambda _, profile: profile.gco2eq_per_1k if profile else None),
)


@dataclass(frozen=True)
class CostedRun:
    """A run with its costs, NaN where they are not known, and the costs on whose front of its task it is."""

    run: FinishedRun
    costs: Mapping[Cost, float]
    fronts: frozenset[Cost]


def costed_runs(collection: Collection) -> dict[str, list[CostedRun]]:
    """The runs of each task that has several runs, of which any has a known cost."""
    tasks = {task: _costed(collection, runs) for task, runs in by_task(collection).items() if len(runs) > 1}
    return {task: runs for task, runs in tasks.items() if known_costs(runs)}


def _costed(collection: Collection, runs: Sequence[FinishedRun]) -> list[CostedRun]:
    costs = {run: {cost: defined(cost.of(run, collection.profile_of(run))) for cost in COSTS} for run in runs}
    on = {cost: front([(costs[run][cost], run.score) for run in runs]) for cost in COSTS}
    return [CostedRun(run, costs[run], frozenset(cost for cost in COSTS if on[cost][n])) for n, run in enumerate(runs)]


def known_costs(runs: Sequence[CostedRun]) -> list[Cost]:
    """The costs on whose front any of these runs is: those that are known of a run."""
    return [cost for cost in COSTS if any(cost in each.fronts for each in runs)]


def tables(collection: Collection) -> list[Table]:
    """One table: each run's score and costs, with a mark where it is on that cost's front of its task."""
    runs = [each for of_task in costed_runs(collection).values() for each in of_task]
    labels, metric = collection.labels, ", ".join(dict.fromkeys(each.run.metric for each in runs))
    columns: list[CellColumn[CostedRun]] = [
        stub("task", lambda each: each.run.task),
        stub("model", lambda each: labels.model(each.run)),
        stub("quantizer", lambda each: labels.calibrated(each.run)),
        number(metric, "%", lambda each: each.run.score, ".1f", 100),
        *(column for cost in known_costs(runs) for column in _cost_columns(cost)),
    ]
    caption = (
        f"{ON_FRONT}: no run of the task, of any model, has at least this {metric} at no more of this cost. Sizes are "
        f"of checkpoints; latency and CO2 are of a prediction as profiled, n/a where there is no profile. "
        f"{sizes_caption(each.run for each in runs)}"
    )
    return table_of("pareto", "Who is worth the cost", caption, columns, runs)


def _cost_columns(cost: Cost) -> tuple[CellColumn[CostedRun], CellColumn[CostedRun]]:
    """A cost, and a mark for runs on its front."""

    def mark(each: CostedRun) -> Cell:
        return Cell(ON_FRONT if cost in each.fronts else "", float(cost in each.fronts))

    value: Callable[[CostedRun], float] = lambda each: each.costs[cost]  # noqa: E731
    return number(cost.name, cost.unit, value, cost.form), CellColumn("on its front", cell=mark)
