"""The three parts of Wei et al.'s figure 6, from noise documents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness.figure_style import Style, finished, panels, plain, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Document = Mapping[str, Any]


def draw(documents: Sequence[Document], folder: Path) -> None:
    """Write `weight-noise` (6a), `activation-maxima` (6b) and `accumulated-noise` (6c) into a folder: PNG and PDF."""
    for name, figure in (
        ("weight-noise", weight_noise(documents)),
        ("activation-maxima", activation_maxima(documents)),
        ("accumulated-noise", accumulated_noise(documents)),
    ):
        for suffix in (".png", ".pdf"):
            figure.savefig(folder / f"{name}{suffix}", dpi=150)


def weight_noise(documents: Sequence[Document]) -> Figure:
    """Mean weight noise of the layers by the model's size, a line a quantizer."""
    figure, (axes,) = panels(1)
    for quantizer, style in styles(_names(documents, "quantizer")).items():
        points = sorted((d["parameters"], d["mean"]["weight_noise"]) for d in documents if d["quantizer"] == quantizer)
        _line(axes, points, quantizer, style)
    axes.set(xscale="log", xlabel="model's parameters (count)", ylabel=f"mean weight noise ({_RATIO})")
    return finished(figure, [axes])


def activation_maxima(documents: Sequence[Document]) -> Figure:
    """Largest activation of each layer's input, over tokens and over inputs: a row a model, in full precision."""
    models = _names(documents, "model")
    figure, places = panels(len(models), 2)
    for number, model in enumerate(models):
        document = next(d for d in documents if d["model"] == model)
        layers = document["layers"]
        for axes, of in zip(places[2 * number :], ("tokens", "inputs"), strict=False):
            found = [(i, layer["activation_max"][of]) for i, layer in enumerate(layers) if layer["activation_max"][of]]
            at = [i for i, _ in found]
            for low, high, shade, dashes in (("min", "max", "#dddddd", ":"), ("q1", "q3", "#999999", "--")):
                below, above = ([each[end] for _, each in found] for end in (low, high))
                axes.fill_between(
                    at, below, above, facecolor=shade, edgecolor="#000000", linestyle=dashes, linewidth=0.7,
                    label=f"{low} to {high}",
                )  # fmt: skip
            axes.plot(at, [each["median"] for _, each in found], color="#000000", label="median")
            count = _count(document, "tokens" if of == "tokens" else "sequences")
            axes.set(xlabel="layer (number)", ylabel=f"max|x| by {of[:-1]} (activation's unit)")
            axes.set_title(plain(f"{model}{count}"))
            _logarithmic(axes, (each["min"] for _, each in found))
    return finished(figure, places)


def accumulated_noise(documents: Sequence[Document]) -> Figure:
    """Noise of the hidden states by depth, a panel a model and a line a quantizer."""
    models = _names(documents, "model")
    from matplotlib.ticker import MaxNLocator

    look = styles(_names(documents, "quantizer"))
    figure, places = panels(len(models))
    for axes, model in zip(places, models, strict=True):
        of_model = [d for d in documents if d["model"] == model]
        for document in of_model:
            points = {layer["depth"]: layer["accumulated_noise"] for layer in document["layers"]}
            _line(axes, sorted(points.items()), document["quantizer"], look[document["quantizer"]])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="depth (blocks)", ylabel=f"accumulated noise ({_RATIO})")
        axes.set_title(plain(f"{model}{_count(of_model[0], 'sequences')}"))
    return finished(figure, places)


_RATIO = "ratio of energies"


def _count(document: Document, of: str) -> str:
    """What was measured on, as titles say it; nothing where a document of another making does not say it."""
    count = document.get("inputs", {}).get(of)
    return "" if count is None else f" (n = {count} {of})"


def _names(documents: Sequence[Document], key: str) -> list[str]:
    return list(dict.fromkeys(document[key] for document in documents))


def _line(axes: Axes, points: Sequence[tuple[float, float]], label: str, style: Style) -> None:
    """Undefined points are left out."""
    known = [(x, y) for x, y in points if x is not None and y is not None and math.isfinite(y)]
    if known:
        axes.plot([x for x, _ in known], [y for _, y in known], **style.line, label=plain(label))
        _logarithmic(axes, (y for _, y in known))


def _logarithmic(axes: Axes, values: Iterable[float]) -> None:
    """A logarithmic scale, linear near 0 where there are zeros, which full precision has."""
    smallest = min(values, default=1.0)
    if smallest > 0 and axes.get_yscale() != "symlog":
        axes.set_yscale("log")
    elif smallest <= 0:
        axes.set_yscale("symlog", linthresh=1e-6)
