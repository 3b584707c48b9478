"""The style of all figures: panels, series that differ without colours, files that are the same byte for byte."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

from qharness.errors import MissingDependencyError
from qharness.storage.json_values import without_lone_surrogates
from qharness.visible_text import visible_lines

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Dashes = str | tuple[int, tuple[int, ...]]
"""A line style of matplotlib: its name, or an offset and the lengths of dashes and gaps."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""The palette of Okabe and Ito (2008), which colour-blind readers tell apart."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p")
LINES: tuple[Dashes, ...] = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 3)))
HATCHES = ("", "///", "\\\\\\", "xx", "--", "||", "..", "++", "//")
_SHADES = ("#d9d9d9", "#ffffff", "#a6a6a6", "#f2f2f2", "#bfbfbf", "#ffffff", "#8c8c8c", "#e6e6e6")


class PlotStyle(TypedDict):
    """Arguments of `Axes.plot`."""

    color: str
    marker: str
    markersize: float
    linestyle: Dashes
    linewidth: float


class IntervalStyle(TypedDict):
    """Arguments of `Axes.errorbar`: markers with bars and no line."""

    fmt: str
    color: str
    markersize: float
    capsize: float
    elinewidth: float


class BarStyle(TypedDict):
    """Arguments of `Axes.bar`."""

    facecolor: str
    edgecolor: str
    linewidth: float
    hatch: str


@dataclass(frozen=True)
class Style:
    """How one series looks: its colour, and its marker and dashes for print; bars have a shade and a hatch."""

    number: int

    def with_dashes(self, dashes: Dashes) -> PlotStyle:
        """The style of points with a line of these dashes."""
        colour, marker = COLOURS[self.number % len(COLOURS)], MARKERS[self.number % len(MARKERS)]
        return {"color": colour, "marker": marker, "markersize": 6, "linestyle": dashes, "linewidth": 1.4}

    @property
    def line(self) -> PlotStyle:
        """The style of points with the series' own line."""
        return self.with_dashes(LINES[self.number % len(LINES)])

    @property
    def points(self) -> PlotStyle:
        """The style of points without a line."""
        return self.with_dashes("none")

    @property
    def intervals(self) -> IntervalStyle:
        """The style of points with their intervals, and no line."""
        points = self.points
        return {"fmt": points["marker"], "color": points["color"], "markersize": 6, "capsize": 3, "elinewidth": 1.0}

    @property
    def bars(self) -> BarStyle:
        """The style of bars."""
        shade, hatch = _SHADES[self.number % len(_SHADES)], HATCHES[self.number % len(HATCHES)]
        return {"facecolor": shade, "edgecolor": "#000000", "linewidth": 0.7, "hatch": hatch}


def error_bars(values: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> list[list[float]]:
    """The lengths of bars below and above values, as `Axes.errorbar` takes them; 0 where an interval is undefined."""
    below = [value - low for value, low in zip(values, lows, strict=True)]
    above = [high - value for value, high in zip(values, highs, strict=True)]
    return [[0.0 if math.isnan(length) else max(0.0, length) for length in lengths] for lengths in (below, above)]


def styles(names: Sequence[str]) -> dict[str, Style]:
    """A style for each name, in the order of the names."""
    return {name: Style(number) for number, name in enumerate(dict.fromkeys(names))}


def require_matplotlib() -> None:
    """Raise MissingDependencyError where there is no matplotlib."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise MissingDependencyError("matplotlib", "pip install 'qharness[figures]'") from None


_LEGEND = 2.0  # inches beside the panels


def panels(
    rows: int,
    columns: int = 1,
    *,
    width: float = 5.5,
    height: float = 3.6,
    heights: Sequence[float] | None = None,
    legend: float = _LEGEND,
) -> tuple[Figure, list[Axes]]:
    """A figure of panels of about width x height inches with room for a legend, and the panels, row by row.

    `heights` gives each row a height of its own, in inches. `legend`: the width beside the panels, in inches.
    """
    from matplotlib.figure import Figure

    tall = list(heights or [height] * rows)
    figure = Figure(figsize=(width * columns + legend, sum(tall)), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, height_ratios=tall).flat)


@dataclass(frozen=True)
class Legend:
    """Where a figure's legend stands, in matplotlib's words, and in how many columns."""

    place: Literal["outside right upper", "outside lower center"] = "outside right upper"
    columns: int = 1


_BESIDE = Legend()


@dataclass(frozen=True)
class PointLabel:
    """A text beside a point (x, y) of a panel, in the panel's data coordinates."""

    axes: Axes
    x: float
    y: float
    text: str


def finished(
    figure: Figure, axes: Sequence[Axes], labels: Sequence[PointLabel] = (), legend: Legend = _BESIDE
) -> Figure:
    """The figure with grids, labels of points, and one legend of all series outside its panels; its layout is fixed."""
    handles: dict[str, Artist] = {}
    for each in axes:
        each.set_axisbelow(True)
        each.grid(alpha=0.3)
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            handles.setdefault(str(label), handle)
    if handles:
        figure.legend(
            handles=list(handles.values()),
            labels=list(handles),
            loc=legend.place,
            ncols=legend.columns,
            fontsize="small",
        )
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # or each file written would move the panels a little
    for each in axes:  # the solver's last bits vary from process to process, and SVG's ids are hashes of all bits
        left, low, width, height = (round(value, 12) for value in each.get_position().bounds)
        each.set_position((left, low, width, height))
    _place(labels)
    return figure


_LONGEST = 60  # characters
_SIZE = 8.0  # points, of labels
_OFFSETS = ((6, 4), (6, -12), (-6, 4), (-6, -12), (6, 15), (6, -23), (-6, 15), (-6, -23))  # points: right above, ...
_BEHIND = {"facecolor": "#ffffff", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}
_POINT = 4.0  # points, half the width of a marker


def _place(labels: Sequence[PointLabel]) -> None:
    """Write each label on a side of its point where it overlaps no other and no point; leave it out elsewhere."""
    taken = [_around(label) for label in labels]
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
                    ha="left" if right > 0 else "right", va="bottom", bbox=_BEHIND,
                )  # fmt: skip
                break


def _around(label: PointLabel) -> tuple[float, float, float, float]:
    """The box of the marker of a label's point, in pixels."""
    x, y = label.axes.transData.transform((label.x, label.y))
    half = _POINT * label.axes.figure.dpi / 72
    return x - half, y - half, x + half, y + half


def plain(text: str) -> str:
    """A text that matplotlib draws as it is, with dollars escaped, which begin a formula; a long text is cut."""
    text = visible_lines(without_lone_surrogates(text))
    return (text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…").replace("$", r"\$")


def to_svg(figure: Figure) -> str:
    """The figure as SVG, in which text is text; equal figures give equal bytes."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    return _printed(figure, FigureCanvasSVG(figure).print_svg, {"Date": None, "Creator": None}).decode()


def to_png(figure: Figure) -> bytes:
    """The figure as PNG, 300 dots an inch; equal figures give equal bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    return _printed(figure, FigureCanvasAgg(figure).print_png, {"Software": None})


def to_pdf(figure: Figure) -> bytes:
    """The figure as PDF, in which fonts are embedded; equal figures give equal bytes."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    return _printed(
        figure, FigureCanvasPdf(figure).print_pdf, {"CreationDate": None, "Creator": None, "Producer": None}
    )


def _printed(figure: Figure, write: Callable[..., object], metadata: Mapping[str, None]) -> bytes:
    """A figure by its canvas's own method: `savefig` draws it twice, in case its layout is not fixed."""
    import matplotlib

    buffer, dots = io.BytesIO(), figure.dpi
    figure.dpi = 300
    try:
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "qharness", "pdf.fonttype": 42}):
            write(buffer, metadata=dict(metadata))
    finally:
        figure.dpi = dots
    return buffer.getvalue()


def inline_svg(svg: str, key: str, label: str) -> str:
    """An SVG element for a page with others: its ids begin with `key`, and its size follows the page's width.

    `label`, which is escaped here, is the text for readers who cannot see it. Style elements, which would apply to the
    whole page, are removed.
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
