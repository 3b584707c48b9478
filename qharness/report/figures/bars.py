"""pass@1 by difficulty, and how completions fail, as bars with hatches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from qharness.figure_style import Style, finished, panels, plain, styles
from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.figures.pictures import Picture, by_task, point_texts, slug
from qharness.report.page.formatting import completions, extent
from qharness.stats.analyses import Level, by_level, failure_kinds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PASSED = "passed"


def difficulty(collection: Collection) -> list[Picture]:
    """pass@1 by level, a figure a task that has levels, a panel a model and a bar a quantizer."""
    made = []
    for task, runs in by_task(collection).items():
        levels = {entry: each for entry in runs if (each := by_level(entry.rows))}
        if not levels:
            continue
        models = _by_model(collection, list(levels))
        figure, places = panels(len(models), width=max(5.5, 0.5 * max(map(len, models.values()))), height=3.2)
        looks = styles([name for named in models.values() for name in named])
        for axes, (model, named) in zip(places, models.items(), strict=True):
            _levels(axes, {quant: levels[entry] for quant, entry in named.items()}, looks)
            axes.set(ylabel="pass@1 (%)", xlabel="level (n: problems)", title=plain(model))
        caption = f"Mean pass rate of the problems of each level. {extent(levels)}"
        title = f"{task}: pass@1 by difficulty"
        made.append(Picture(f"difficulty-{slug(task)}", title, caption, finished(figure, places)))
    return made


def _levels(axes: Axes, found: Mapping[str, Mapping[str, Level]], looks: Mapping[str, Style]) -> None:
    """Bars of each quantizer side by side at each level; a level that a run has no problems of has none."""
    counts = {name: level.n_problems for levels in found.values() for name, level in levels.items()}
    places = {name: float(place) for place, name in enumerate(counts)}
    wide = 0.8 / len(found)
    for number, (quant, levels) in enumerate(found.items()):
        at = [places[name] - 0.4 + wide * (number + 0.5) for name in levels]
        axes.bar(
            at, [100 * level.pass_rate for level in levels.values()], wide, **looks[quant].bars, label=plain(quant)
        )
    axes.set_xticks(list(places.values()), [plain(f"{name}\nn = {count}") for name, count in counts.items()])


def failures(collection: Collection) -> list[Picture]:
    """How completions end, stacked to what does not pass, a figure a task, a panel a model and a bar a quantizer."""
    made = []
    for task, entries in by_task(collection).items():
        models = _by_model(collection, entries)
        counts = {id(entry): failure_kinds(entry.rows) for entry in entries}
        kinds = [k for k in next(iter(counts.values())) if k != _PASSED and any(each[k] for each in counts.values())]
        if not kinds:
            continue
        figure, places = panels(len(models), heights=[1.2 + 0.3 * len(named) for named in models.values()])
        for axes, (model, named) in zip(places, models.items(), strict=True):
            _stack(axes, [counts[id(entry)] for entry in named.values()], kinds)
            axes.set_yticks(range(len(named)), [plain(name) for name in named])
            axes.invert_yaxis()
            axes.set(xlim=(0, 100), title=plain(model))
            axes.set_xlabel(f"completions that fail (% of all, {completions(named.values())})")
        caption = f"Completions that do not pass, by how they end. {extent(entries)}"
        title = f"{task}: how completions fail"
        made.append(Picture(f"failures-{slug(task)}", title, caption, finished(figure, places)))
    return made


def _stack(axes: Axes, counts: Sequence[dict[str, int]], kinds: Sequence[str]) -> None:
    """A horizontal bar for each run's counts, a part for each kind, in percent of its completions."""
    left = np.zeros(len(counts))
    for kind, style in styles(kinds).items():
        shares = np.array([100 * each[kind] / max(1, sum(each.values())) for each in counts])
        axes.barh(range(len(counts)), shares, left=left, height=0.7, **style.bars, label=kind)
        left += shares


def _by_model(collection: Collection, entries: Sequence[FinishedRun]) -> dict[str, dict[str, FinishedRun]]:
    """Runs by model and by what tells them apart within it, full precision first."""
    found: dict[str, dict[str, FinishedRun]] = {}
    named = zip(entries, point_texts(collection, entries), strict=True)
    for entry, name in sorted(named, key=lambda each: (not each[0].full, each[1])):
        found.setdefault(collection.labels.model(entry), {}).setdefault(name, entry)
    return found
