"""What all figures share: panels, styles that hold up without colours, files that repeat byte for byte."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qharness.errors import MissingDependencyError
from qharness.storage.json_values import without_lone_surrogates
from qharness.visible_text import visible_lines

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Okabe and Ito's, which those who cannot see red or green tell apart."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p")
LINES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 3)))
HATCHES = ("", "///", "\\\\\\", "xx", "--", "||", "..", "++", "//")
_SHADES = ("#d9d9d9", "#ffffff", "#a6a6a6", "#f2f2f2", "#bfbfbf", "#ffffff", "#8c8c8c", "#e6e6e6")


@dataclass(frozen=True)
class Style:
    """How one series looks: colour and, for print, marker and dashes. Bars have a shade and a hatch."""

    number: int

    @property
    def line(self) -> dict[str, Any]:
        """Arguments for `Axes.plot`."""
        return {**self.points, "linestyle": LINES[self.number % len(LINES)], "linewidth": 1.4}

    @property
    def points(self) -> dict[str, Any]:
        """Arguments for `Axes.plot` of points alone."""
        return {
            "color": COLOURS[self.number % len(COLOURS)],
            "marker": MARKERS[self.number % len(MARKERS)],
            "markersize": 6,
            "linestyle": "none",
        }

    @property
    def bars(self) -> dict[str, Any]:
        """Arguments for `Axes.bar`."""
        return {
            "facecolor": _SHADES[self.number % len(_SHADES)],
            "edgecolor": "#000000",
            "linewidth": 0.7,
            "hatch": HATCHES[self.number % len(HATCHES)],
        }


def styles(names: Sequence[str]) -> dict[str, Style]:
    """A style for each name, in their order."""
    return {name: Style(number) for number, name in enumerate(dict.fromkeys(names))}


def require_matplotlib() -> None:
    """Raise MissingDependencyError where figures cannot be drawn."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise MissingDependencyError("matplotlib", "pip install 'qharness[figures]'") from None


_LEGEND = 2.0  # inches beside the panels


def panels(
    rows: int, columns: int = 1, *, width: float = 5.5, height: float = 3.6, heights: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure of panels of about width x height inches, with room for a legend; and the panels, row by row.

    `heights`, where given, are the rows' own, in inches.
    """
    from matplotlib.figure import Figure

    tall = list(heights or [height] * rows)
    figure = Figure(figsize=(width * columns + _LEGEND, sum(tall)), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, height_ratios=tall).flat)


@dataclass(frozen=True)
class PointLabel:
    """A text beside a point of a panel, in the panel's own units."""

    axes: Axes
    x: float
    y: float
    text: str


def finished(figure: Figure, axes: Sequence[Axes], labels: Sequence[PointLabel] = ()) -> Figure:
    """The figure with grids, points' labels, and one legend of all series beside its panels; its layout is settled."""
    named: dict[str, Artist] = {}
    for each in axes:
        each.set_axisbelow(True)
        each.grid(alpha=0.3)
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            named.setdefault(str(label), handle)
    if named:
        figure.legend(handles=list(named.values()), labels=list(named), loc="outside right upper", fontsize="small")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # or each file written would move the panels a little
    _place(labels)
    return figure


_LONGEST = 60  # characters
_SIZE = 7.0  # points, of labels
_OFFSETS = ((5, 4), (5, -10), (-5, 4), (-5, -10))  # points: right above, right below, left above, left below


def _place(labels: Sequence[PointLabel]) -> None:
    """Write each label on a side of its point where no other stands; where there is no such side, leave it out."""
    taken: list[tuple[float, float, float, float]] = []
    for label in labels:
        scale = label.axes.figure.dpi / 72
        x, y = label.axes.transData.transform((label.x, label.y))
        inside = label.axes.get_window_extent()
        wide, high = 0.6 * _SIZE * len(label.text) * scale, 1.2 * _SIZE * scale
        for right, up in _OFFSETS:
            left = x + right * scale if right > 0 else x + right * scale - wide
            low = y + up * scale
            box = (left, low, left + wide, low + high)
            fits = box[0] > inside.x0 and box[2] < inside.x1 and box[1] > inside.y0 and box[3] < inside.y1
            if fits and not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken):
                taken.append(box)
                label.axes.annotate(
                    plain(label.text), (label.x, label.y), (right, up), textcoords="offset points", fontsize=_SIZE,
                    ha="left" if right > 0 else "right", va="bottom",
                )  # fmt: skip
                break


def plain(text: str) -> str:
    """Text as matplotlib draws it unchanged: dollars would begin a formula. What is very long is cut."""
    text = visible_lines(without_lone_surrogates(text))
    return (text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…").replace("$", r"\$")


def to_svg(figure: Figure) -> str:
    """The figure as SVG whose text is text, the same each time."""
    return _saved(figure, "svg", {"Date": None, "Creator": None}).decode()


def to_png(figure: Figure) -> bytes:
    """The figure as PNG, 150 dots an inch, the same each time."""
    return _saved(figure, "png", {"Software": None})


def _saved(figure: Figure, suffix: str, metadata: Mapping[str, None]) -> bytes:
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "qharness"}):
        figure.savefig(buffer, format=suffix, dpi=150, metadata=dict(metadata))
    return buffer.getvalue()


def inline_svg(svg: str, key: str, label: str) -> str:
    """An SVG to stand in a page among others: its ids begin with `key`, its size follows the page's width.

    `label` (escaped here) is what it is called where it is not seen. Styles that would reach the page are left out.
    """
    from html import escape

    body = svg[svg.index("<svg") :]
    body = re.sub(r"<style[^>]*>.*?</style>|<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{key}-', body)
    body = re.sub(r'(url\(#|href="#)', rf"\g<1>{key}-", body)
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', body).groups()  # type: ignore[union-attr]
    body = re.sub(r'^<svg([^>]*?) width="[^"]*"', rf'<svg\1 width="{float(width) * 4 / 3:.0f}"', body)
    body = re.sub(r'^<svg([^>]*?) height="[^"]*"', rf'<svg\1 height="{float(height) * 4 / 3:.0f}"', body)
    return body.replace("<svg", f'<svg role="img" aria-label="{escape(label, quote=True)}"', 1)
