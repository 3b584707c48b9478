"""Models that are worth their cost: each run's score and costs, and each cost's Pareto front, where intervals part."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.data.selection import by_task
from qharness.report.tables.columns import Cell, CellColumn, Table, number, number_cell, stub, table_of
from qharness.report.tables.formatting import ByteUnit, sizes_caption
from qharness.results import CostProfile, Latency
from qharness.stats.intervals import Interval
from qharness.stats.ordering import clearly_higher
from qharness.storage.json_values import defined

ON_FRONT = "●"
_SEED = 0  # of the bootstrap


def front(costs: Sequence[Interval], passes_more: Sequence[frozenset[int]]) -> list[bool]:
    """Whether each point is on the Pareto front: no other one clearly passes more at a cost that is clearly no higher.

    `passes_more`: for each point, those that clearly pass less. Points whose intervals overlap are not ordered: neither
    takes the other from the front. Points without a cost are not on it, and take none from it.
    """

    def dominates(a: int, b: int) -> bool:
        return b in passes_more[a] and no_dearer(costs[a], costs[b])

    known = [n for n, cost in enumerate(costs) if not math.isnan(cost.value)]
    return [n in known and not any(dominates(other, n) for other in known) for n in range(len(costs))]


def no_dearer(a: Interval, b: Interval) -> bool:
    """Whether a cost is clearly no higher than another: its interval ends before the other's begins, or is the same."""
    return a == b or a.high <= b.low


@dataclass(frozen=True)
class Cost:
    """A cost of a model; `of` gives that of a run and its profile with its quartiles, NaN where it is not known."""

    name: str
    unit: str
    form: str
    of: Callable[[FinishedRun, CostProfile | None], Interval]

    def scale(self, runs: Iterable[CostedRun]) -> ByteUnit:
        """The unit in which these runs are read together: of bytes, the one that suits them."""
        if self.unit != "bytes":
            return ByteUnit(self.unit, 1)
        return ByteUnit.of(each.costs[self].value for each in runs)


def _storage(run: FinishedRun, profile: CostProfile | None) -> Interval:
    exact = defined(run.storage_bytes)
    return Interval(exact, exact, exact)


def _latency(run: FinishedRun, profile: CostProfile | None) -> Interval:
    found = profile.latency_s if profile else Latency(math.nan, None, None)
    low, high = (found.median if bound is None else bound for bound in (found.q1, found.q3))
    return Interval(found.median, low, high)


def _grams(run: FinishedRun, profile: CostProfile | None) -> Interval:
    """Grams of CO2 of 1,000 predictions, which are proportional to the latency."""
    latency = _latency(run, profile)
    rate = defined(profile.gco2eq_per_1k if profile else None) / latency.value
    return Interval(rate * latency.value, rate * latency.low, rate * latency.high)


COSTS = (
    Cost("checkpoint", "bytes", "", _storage),
    Cost("latency", "s", ".3f", _latency),
    Cost("1,000 predictions", "gCO2eq", ".3g", _grams),
)


@dataclass(frozen=True, eq=False)
class CostedRun:
    """A run with its costs, NaN where they are not known, and the costs on whose front of its task it is.

    `passes_more`: the runs of its task that clearly pass less than it.
    """

    run: FinishedRun
    costs: Mapping[Cost, Interval]
    fronts: frozenset[Cost]
    passes_more: frozenset[FinishedRun]

    def clearly_above(self, other: CostedRun, cost: Cost) -> bool:
        """Whether this run clearly passes more than another that clearly costs no more."""
        return other.run in self.passes_more and no_dearer(other.costs[cost], self.costs[cost])


def costed_runs(collection: Collection) -> dict[str, list[CostedRun]]:
    """The runs of each task that has several runs, of which any has a known cost."""
    tasks = {task: _costed(collection, runs) for task, runs in by_task(collection).items() if len(runs) > 1}
    return {task: runs for task, runs in tasks.items() if known_costs(runs)}


def _costed(collection: Collection, runs: Sequence[FinishedRun]) -> list[CostedRun]:
    costs = [{cost: cost.of(run, collection.profile_of(run)) for cost in COSTS} for run in runs]
    rates = [{problem: float(passed.mean()) for problem, passed in run.passed.items()} for run in runs]
    more = clearly_higher(rates, np.random.default_rng(_SEED))
    on = {cost: front([each[cost] for each in costs], more) for cost in COSTS}
    return [
        CostedRun(run, costs[n], frozenset(cost for cost in COSTS if on[cost][n]), frozenset(runs[m] for m in more[n]))
        for n, run in enumerate(runs)
    ]


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
        *(column for cost in known_costs(runs) for column in _cost_columns(cost, runs)),
    ]
    caption = (
        f"{ON_FRONT}: no run of the task, of any model, has a clearly higher {metric} (the 95% interval of the paired "
        f"difference excludes 0) at clearly no more of this cost (quartiles do not overlap); runs that these intervals "
        f"do not part are not ordered. Sizes are of checkpoints; latency and CO2 as profiled, n/a without a profile. "
        f"{sizes_caption(each.run for each in runs)}"
    )
    return table_of("pareto", "Who is worth the cost", caption, columns, runs)


def _cost_columns(cost: Cost, runs: Sequence[CostedRun]) -> tuple[CellColumn[CostedRun], CellColumn[CostedRun]]:
    """A cost, and a mark for runs on its front."""
    unit = cost.scale(runs)

    def mark(each: CostedRun) -> Cell:
        return Cell(ON_FRONT if cost in each.fronts else "", float(cost in each.fronts))

    def value(each: CostedRun) -> Cell:
        found = each.costs[cost].value
        return number_cell(found, cost.form) if cost.form else unit.cell(found)

    return CellColumn(cost.name, unit.name, cell=value), CellColumn("on its front", cell=mark)
