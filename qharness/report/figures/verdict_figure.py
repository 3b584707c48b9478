"""The figure that answers: each candidate's loss with its interval against its bytes, beside the loss allowed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qharness.figure_style import Legend, PointLabel, finished, panels, plain
from qharness.report.data.class_marks import MARKS, ClassMark, mark_of
from qharness.report.data.findings import Finding
from qharness.report.figures.report_figure import ReportFigure
from qharness.report.tables.formatting import ByteUnit
from qharness.report.tables.verdict_table import Rung, ladder
from qharness.results.verdict import LossBounds
from qharness.specs import MaxLoss

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_APART = 0.03  # of the largest size: models nearer to each other stand side by side
_ONE_COLUMN = 2  # panels
_TICKS, _ALL = (1, 2, 5, 20, 50), 100  # of the margin; points


def figures(findings: Sequence[Finding]) -> list[ReportFigure]:
    """The figure, a panel for each model and task; none where no candidate's size is known."""
    drawn: dict[tuple[str, str], list[Rung]] = {}
    for finding in findings:
        for rung in ladder(finding):
            if rung.size > 0 and rung.task:
                drawn.setdefault((finding.model, rung.task), []).append(rung)
    drawn = {key: rungs for key, rungs in drawn.items() if any(rung.on_task for rung in rungs)}
    if not drawn:
        return []
    columns = 1 if len(drawn) <= _ONE_COLUMN else 2
    figure, all_axes = panels(math.ceil(len(drawn) / columns), columns, width=4.4, height=3.2, legend=0)
    for axes in all_axes[len(drawn) :]:
        axes.remove()
    labels = []
    for axes, ((model, task), rungs) in zip(all_axes, drawn.items(), strict=False):
        labels += _draw(axes, rungs)
        n = next(rung.on_task.evidence.n for rung in rungs if rung.on_task)
        axes.set_title(plain(f"{model} on {task}, n = {n:.0f} problems"), fontsize="medium")
    caption = (
        f"How much pass@1 each quantized model loses against full precision, with bounds of 95% by problem, against "
        f"the bytes of its checkpoint. Dashed: the {findings[0].borne} that may be lost. A model whose interval ends "
        f"below that line holds; one whose interval begins above it loses. Models of almost one size stand side by "
        f"side; beyond {_linear(findings[0].margin):g} points the scale is logarithmic."
    )
    legend = Legend("outside lower center", 3)
    drawing = finished(figure, all_axes[: len(drawn)], labels, legend)
    return [ReportFigure("verdicts", "Loss against bytes", caption, drawing)]


def _linear(margin: MaxLoss) -> float:
    """Up to which loss the scale is linear."""
    return 5 * margin.amount


def _draw(axes: Axes, rungs: Sequence[Rung]) -> list[PointLabel]:
    """Draw one model on one task, and return the labels of its points."""
    unit, margin = ByteUnit.of([rung.size for rung in rungs]), rungs[0].finding.margin
    places = dict(zip(rungs, side_by_side([rung.size / unit.scale for rung in rungs]), strict=True))
    axes.axhline(0, color="#000000", linewidth=0.8)
    label = f"{rungs[0].finding.borne} allowed"
    axes.axhline(margin.amount, color="#000000", linewidth=1.4, linestyle="--", label=label)
    for rung in rungs:
        if rung.on_task is None:
            axes.plot([places[rung]], [0], "k*", markersize=9, label=rung.name)
    for mark in MARKS.values():  # in this order in the legend
        for rung in rungs:
            if rung.on_task is not None and mark_of(rung.verdict) is mark:
                _draw_interval(axes, places[rung], rung.on_task.verdict.loss, mark)
    _scale(axes, margin, [rung.on_task.verdict.loss for rung in rungs if rung.on_task])
    axes.margins(x=0.2)
    axes.set_xlabel(f"checkpoint ({unit.name})")
    axes.set_ylabel("loss of pass@1\n(% of full precision's)" if margin.relative else "loss of pass@1 (points)")
    losses = {rung: rung.on_task.verdict.loss.estimate if rung.on_task else 0.0 for rung in rungs}
    return [PointLabel(axes, places[rung], losses[rung], rung.name) for rung in rungs]


def _scale(axes: Axes, margin: MaxLoss, losses: Sequence[LossBounds]) -> None:
    """Scale the axis of losses: linear round the margin, logarithmic beyond, with ticks at multiples of the margin."""
    low = min([-margin.amount, *(loss.lower95 for loss in losses)])
    high = max([2 * margin.amount, *(loss.upper95 for loss in losses)])
    axes.set_yscale("symlog", linthresh=_linear(margin), linscale=2)
    marks = [sign * margin.amount * times for times in _TICKS for sign in (-1, 1) if margin.amount * times <= _ALL]
    axes.set_yticks([0.0, *marks], minor=False)
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(low * 1.15, high * 1.25)


def _draw_interval(axes: Axes, place: float, loss: LossBounds, mark: ClassMark) -> None:
    """Draw a loss with its bounds."""
    axes.errorbar(
        [place],
        [loss.estimate],
        [[loss.estimate - loss.lower95], [loss.upper95 - loss.estimate]],
        fmt=mark.marker,
        color=mark.colour,
        markerfacecolor=mark.colour if mark.filled else "#ffffff",
        markersize=8,
        markeredgewidth=1.5,
        capsize=4,
        linewidth=1.5,
        label=mark.words,
    )


def side_by_side(places: Sequence[float]) -> list[float]:
    """The places in their order, each at least a small part of the widest from the one before."""
    apart = _APART * max(places, default=0)
    order = sorted(range(len(places)), key=lambda n: -places[n])
    moved = list(places)
    for before, n in itertools.pairwise(order):
        moved[n] = min(moved[n], moved[before] - apart)
    return moved
