"""The three parts of Wei et al.'s figure 6, from noise reports."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qharness.figure_style import Style, finished, panels, plain, styles
from qharness.results import NoiseReport
from qharness.results.measured import FiveNumbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(reports: Sequence[NoiseReport], folder: Path) -> None:
    """Write `weight-noise` (6a), `activation-maxima` (6b) and `accumulated-noise` (6c) into a folder: PNG and PDF."""
    for name, figure in (
        ("weight-noise", weight_noise(reports)),
        ("activation-maxima", activation_maxima(reports)),
        ("accumulated-noise", accumulated_noise(reports)),
    ):
        for suffix in (".png", ".pdf"):
            figure.savefig(folder / f"{name}{suffix}", dpi=150)


def weight_noise(reports: Sequence[NoiseReport]) -> Figure:
    """Mean weight noise of the layers by the model's size, a line a quantizer."""
    figure, (axes,) = panels(1)
    for quantizer, style in styles(_distinct(each.quantizer for each in reports)).items():
        points = sorted(
            (each.parameters or 0, each.mean.weight_noise) for each in reports if each.quantizer == quantizer
        )
        _line(axes, points, quantizer, style)
    axes.set(xscale="log", xlabel="model's parameters (count)", ylabel=f"mean weight noise ({_RATIO})")
    return finished(figure, [axes])


def activation_maxima(reports: Sequence[NoiseReport]) -> Figure:
    """Largest activation of each layer's input, over tokens and over inputs: a row a model, in full precision."""
    models = _distinct(each.model for each in reports)
    figure, places = panels(len(models), 2)
    for number, model in enumerate(models):
        report = next(each for each in reports if each.model == model)
        maxima = [layer.activation_max for layer in report.layers]
        tokens, inputs = places[2 * number : 2 * number + 2]
        for axes, of, count, spreads in (
            (tokens, "token", _count(report.inputs.tokens, "tokens"), [each.tokens for each in maxima]),
            (inputs, "input", _count(report.inputs.sequences, "sequences"), [each.inputs for each in maxima]),
        ):
            _draw_spreads(axes, spreads)
            axes.set(xlabel="layer (number)", ylabel=f"max|x| by {of} (activation's unit)")
            axes.set_title(plain(f"{model}{count}"))
    return finished(figure, places)


def accumulated_noise(reports: Sequence[NoiseReport]) -> Figure:
    """Noise of the hidden states by depth, a panel a model and a line a quantizer."""
    models = _distinct(each.model for each in reports)
    from matplotlib.ticker import MaxNLocator

    look = styles(_distinct(each.quantizer for each in reports))
    figure, places = panels(len(models))
    for axes, model in zip(places, models, strict=True):
        of_model = [each for each in reports if each.model == model]
        for report in of_model:
            points = {layer.depth: layer.accumulated_noise for layer in report.layers}
            _line(axes, sorted(points.items()), report.quantizer, look[report.quantizer])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="depth (blocks)", ylabel=f"accumulated noise ({_RATIO})")
        axes.set_title(plain(f"{model}{_count(of_model[0].inputs.sequences, 'sequences')}"))
    return finished(figure, places)


_RATIO = "ratio of energies"


def _draw_spreads(axes: Axes, spreads: Sequence[FiveNumbers | None]) -> None:
    """A band from least to greatest, one between the quartiles, and the median; layers without any are left out."""
    known = [(number, each) for number, each in enumerate(spreads) if each is not None]
    at = [number for number, _ in known]
    for label, low, high, shade, dashes in (
        ("min to max", [each.min for _, each in known], [each.max for _, each in known], "#dddddd", ":"),
        ("q1 to q3", [each.q1 for _, each in known], [each.q3 for _, each in known], "#999999", "--"),
    ):
        axes.fill_between(
            at, low, high, facecolor=shade, edgecolor="#000000", linestyle=dashes, linewidth=0.7, label=label
        )
    axes.plot(at, [each.median for _, each in known], color="#000000", label="median")
    _logarithmic(axes, (each.min for _, each in known))


def _count(count: int | None, of: str) -> str:
    """The number of inputs, as titles have it; empty where it is unknown."""
    return "" if count is None else f" (n = {count} {of})"


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _line(axes: Axes, points: Sequence[tuple[float, float]], label: str, style: Style) -> None:
    """Draw a line through the points that are defined."""
    known = [(x, y) for x, y in points if math.isfinite(y)]
    if known:
        axes.plot([x for x, _ in known], [y for _, y in known], **style.line, label=plain(label))
        _logarithmic(axes, (y for _, y in known))


def _logarithmic(axes: Axes, values: Iterable[float]) -> None:
    """Set a logarithmic scale, linear near 0 where there are zeros, as full precision has."""
    smallest = min(values, default=1.0)
    if smallest > 0 and axes.get_yscale() != "symlog":
        axes.set_yscale("log")
    elif smallest <= 0:
        axes.set_yscale("symlog", linthresh=1e-6)
