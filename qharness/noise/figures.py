"""The three parts of Wei et al.'s figure 6, from noise documents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Document = Mapping[str, Any]


def require_matplotlib() -> None:
    """Raise MissingDependencyError where figures cannot be drawn."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise MissingDependencyError("matplotlib", "pip install 'qharness[figures]'") from None


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
    figure, (axes,) = _panels(1)
    for quantizer in _names(documents, "quantizer"):
        points = sorted((d["parameters"], d["mean"]["weight_noise"]) for d in documents if d["quantizer"] == quantizer)
        _line(axes, points, quantizer)
    axes.set(xscale="log", xlabel="parameters", ylabel="weight noise, mean of layers")
    return _finished(figure, [axes])


def activation_maxima(documents: Sequence[Document]) -> Figure:
    """Largest activation of each layer's input, over tokens and over inputs: a row a model, in full precision."""
    models = _names(documents, "model")
    figure, panels = _panels(len(models), 2)
    for number, model in enumerate(models):
        layers = next(d for d in documents if d["model"] == model)["layers"]
        for axes, of in zip(panels[2 * number :], ("tokens", "inputs"), strict=False):
            found = [(i, layer["activation_max"][of]) for i, layer in enumerate(layers) if layer["activation_max"][of]]
            places = [i for i, _ in found]
            for low, high, shade in (("min", "max", 0.2), ("q1", "q3", 0.4)):
                below, above = ([each[end] for _, each in found] for end in (low, high))
                axes.fill_between(places, below, above, alpha=shade, color="C0", linewidth=0, label=f"{low} to {high}")
            axes.plot(places, [each["median"] for _, each in found], color="C0", label="median")
            axes.set(xlabel="layer", ylabel=f"max|x| by {of[:-1]}", title=model)
            _logarithmic(axes, (each["min"] for _, each in found))
    return _finished(figure, panels)


def accumulated_noise(documents: Sequence[Document]) -> Figure:
    """Noise of the hidden states by depth, a panel a model and a line a quantizer."""
    models = _names(documents, "model")
    from matplotlib.ticker import MaxNLocator

    figure, panels = _panels(len(models))
    for axes, model in zip(panels, models, strict=True):
        for document in (d for d in documents if d["model"] == model):
            points = {layer["depth"]: layer["accumulated_noise"] for layer in document["layers"]}
            _line(axes, sorted(points.items()), document["quantizer"])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(xlabel="depth, blocks", ylabel="accumulated noise", title=model)
    return _finished(figure, panels)


def _names(documents: Sequence[Document], key: str) -> list[str]:
    return list(dict.fromkeys(document[key] for document in documents))


def _panels(rows: int, columns: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * columns, 3.6 * rows), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def _line(axes: Axes, points: Sequence[tuple[float, float]], label: str) -> None:
    """Undefined points are left out."""
    known = [(x, y) for x, y in points if math.isfinite(y)]
    if known:
        axes.plot([x for x, _ in known], [y for _, y in known], marker="o", label=label)
        _logarithmic(axes, (y for _, y in known))


def _logarithmic(axes: Axes, values: Iterable[float]) -> None:
    """A logarithmic scale, linear near 0 where there are zeros, which full precision has."""
    smallest = min(values, default=1.0)
    if smallest > 0 and axes.get_yscale() != "symlog":
        axes.set_yscale("log")
    elif smallest <= 0:
        axes.set_yscale("symlog", linthresh=1e-6)


def _finished(figure: Figure, panels: Sequence[Axes]) -> Figure:
    for axes in panels:
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    return figure
