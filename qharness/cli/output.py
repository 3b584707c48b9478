"""Prints lines and tables for people, JSON for programs, and the names of plugins that had to be skipped."""

from __future__ import annotations

import typer

from qharness.cli.tables import print_table as print_table
from qharness.metrics.shown_figures import interval as interval
from qharness.metrics.shown_figures import number as number
from qharness.metrics.shown_figures import p_value as p_value
from qharness.metrics.shown_figures import points as points
from qharness.metrics.shown_figures import score as score
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


def size(count: int | None) -> str:
    """A number of bytes in gigabytes or megabytes; `n/a` where it is unknown."""
    if count is None:
        return "n/a"
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"
