"""Bar charts with hatches: pass@1 by difficulty, and how completions fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from qharness.api.languages import Status
from qharness.figure_style import Style, error_bars, finished, panels, plain, styles
from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.data.selection import by_task
from qharness.report.figures.report_figure import ReportFigure, slug
from qharness.report.tables.formatting import completions_text, sizes_caption
from qharness.stats.analyses import Level, by_level
from qharness.stats.intervals import mean_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SEED = 0  # of the bootstrap
_MOST_PANELS, _MOST_BARS = 24, 200  # more are not to be read; the tables have them


def difficulty(collection: Collection) -> list[ReportFigure]:
    """pass@1 by level: a figure for each task of several levels, a panel for each model and bars for each quantizer."""
    drawn = []
    for task, runs in by_task(collection).items():
        levels = {run: by_run for run in runs if len(by_run := by_level(run.rows)) > 1}
        if not levels:
            continue
        models = _by_model(collection, list(levels))
        if not _can_be_read(models):
            continue
        figure, all_axes = panels(len(models), width=max(5.5, 0.5 * max(map(len, models.values()))), height=3.2)
        looks = styles([label for of_model in models.values() for label in of_model])
        for axes, (model, of_model) in zip(all_axes, models.items(), strict=True):
            _draw_levels(axes, {label: levels[run] for label, run in of_model.items()}, looks)
            axes.set(ylabel="pass@1 (%)", xlabel="level (n: problems)", title=plain(model))
        caption = f"Mean pass rate of each level's problems, with its 95% interval over them. {sizes_caption(levels)}"
        title = f"{task}: pass@1 by difficulty"
        drawn.append(ReportFigure(f"difficulty-{slug(task)}", title, caption, finished(figure, all_axes)))
    return drawn


def _draw_levels(axes: Axes, quantizers: Mapping[str, Mapping[str, Level]], looks: Mapping[str, Style]) -> None:
    """Draw the bars of the quantizers side by side at each level; none where a run has no problems of a level."""
    counts = {name: level.n_problems for levels in quantizers.values() for name, level in levels.items()}
    centres = {name: float(place) for place, name in enumerate(counts)}
    width = 0.8 / len(quantizers)
    for number, (quant, levels) in enumerate(quantizers.items()):
        at = [centres[name] - 0.4 + width * (number + 0.5) for name in levels]
        heights = [100 * level.pass_rate for level in levels.values()]
        intervals = [mean_interval(np.array(level.rates), np.random.default_rng(_SEED)) for level in levels.values()]
        lows, highs = ([100 * getattr(each, end) for each in intervals] for end in ("low", "high"))
        axes.bar(at, heights, width, **looks[quant].bars, label=plain(quant))
        axes.errorbar(at, heights, error_bars(heights, lows, highs), fmt="none", ecolor="#000000", capsize=2)
    axes.set_xticks(list(centres.values()), [plain(f"{name}\nn = {count}") for name, count in counts.items()])


def failures(collection: Collection) -> list[ReportFigure]:
    """Failed completions, stacked by kind: a figure for each task, a panel for each model, a bar for each quantizer."""
    drawn = []
    for task, runs in by_task(collection).items():
        models = _by_model(collection, runs)
        counts = {run: run.failure_counts for run in runs}
        kinds = [
            kind for kind in counts[runs[0]] if kind != Status.PASSED and any(each[kind] for each in counts.values())
        ]
        if not kinds or not _can_be_read(models):
            continue
        figure, all_axes = panels(len(models), heights=[1.2 + 0.3 * len(of_model) for of_model in models.values()])
        for axes, (model, of_model) in zip(all_axes, models.items(), strict=True):
            _draw_stack(axes, [counts[run] for run in of_model.values()], kinds)
            axes.set_yticks(range(len(of_model)), [plain(label) for label in of_model])
            axes.invert_yaxis()
            axes.set(xlim=(0, 100), title=plain(model))
            axes.set_xlabel(f"completions that fail (% of all, {completions_text(of_model.values())})")
        caption = f"Completions that do not pass, by how they end. {sizes_caption(runs)}"
        title = f"{task}: how completions fail"
        drawn.append(ReportFigure(f"failures-{slug(task)}", title, caption, finished(figure, all_axes)))
    return drawn


def _draw_stack(axes: Axes, counts: Sequence[Mapping[str, int]], kinds: Sequence[str]) -> None:
    """Draw a horizontal bar for each run, with a part for each kind, in percent of the run's completions."""
    left = np.zeros(len(counts))
    for kind, style in styles(kinds).items():
        shares = np.array([100 * each[kind] / max(1, sum(each.values())) for each in counts])
        axes.barh(range(len(counts)), shares, left=left, height=0.7, **style.bars, label=kind)
        left += shares


def _can_be_read(models: Mapping[str, Mapping[str, FinishedRun]]) -> bool:
    """Whether a figure with a panel for each model, and a bar in it for each of its runs, is one to look at."""
    return len(models) <= _MOST_PANELS and sum(map(len, models.values())) <= _MOST_BARS


def _by_model(collection: Collection, runs: Sequence[FinishedRun]) -> dict[str, dict[str, FinishedRun]]:
    """Runs by model and by their label within it, full precision first."""
    models: dict[str, dict[str, FinishedRun]] = {}
    labelled = zip(runs, collection.labels.points(runs), strict=True)
    for run, label in sorted(labelled, key=lambda each: (not each[0].full, each[1])):
        models.setdefault(collection.labels.model(run), {}).setdefault(label, run)
    return models
