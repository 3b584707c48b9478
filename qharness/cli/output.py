"""Prints tables for people, JSON for programs, and the names of plugins that had to be skipped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import typer

from qharness.metrics.table import unit_of
from qharness.progress import note
from qharness.registry import Registry, get_registry
from qharness.storage.json_values import json_text
from qharness.visible_text import visible, visible_lines


def registry() -> Registry:
    """The registry; a note on standard error tells which plugins were skipped and why."""
    found = get_registry()
    for plugin in found.broken:
        note(f"plugin {plugin.name!r} was skipped, it does not import: {plugin.reason}")
    return found


def echo(text: str = "") -> None:
    """Print a line; control characters, line ends too, are escaped."""
    typer.echo(visible(text))


def echo_lines(text: str) -> None:
    """Print a text of several lines; other control characters are escaped."""
    typer.echo(visible_lines(text))


def print_json(document: object) -> None:
    """Print one JSON document; undefined numbers are null."""
    echo_lines(json_text(document, indent=2))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as wide as the terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*header, box=box.SIMPLE_HEAD, header_style="bold")
    for row in rows:
        table.add_row(*map(visible_lines, row))  # completions have several
    console = Console(markup=False, emoji=False)  # brackets and colons are what they are
    if not console.is_terminal:
        console.width = 160
    console.print(table)


def size(count: int | None) -> str:
    """A number of bytes in gigabytes or megabytes; `n/a` where it is unknown."""
    if count is None:
        return "n/a"
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"


def number(value: float | None, form: str) -> str:
    """A figure in a format; `n/a` where it is undefined."""
    return "n/a" if value is None or not math.isfinite(value) else format(value, form)


def score(metric: str, value: float | None) -> str:
    """A metric's value: pass@k in percent, others as they are."""
    scale, form, unit = _form(metric)
    shown = number(None if value is None else scale * value, form)
    return shown if shown == "n/a" else f"{shown}{unit}"


def points(metric: str, difference: float | None, *, signed: bool = True) -> str:
    """A difference of a metric's values: of pass@k in percent points."""
    scale, form, unit = _form(metric)
    shown = number(None if difference is None else scale * difference, f"+{form}" if signed else form)
    return f"{shown} points" if unit and shown != "n/a" else shown


def _form(metric: str) -> tuple[float, str, str]:
    """The factor, the format and the unit that a metric is printed with."""
    return (100, ".1f", "%") if unit_of(metric) == "ratio" else (1, ".4f", "")


def p_value(p: float | None) -> str:
    """A p-value; the smallest are only bounded, for none is 0."""
    return "< 0.0001" if p is not None and p < 0.0001 else number(p, ".4f")
