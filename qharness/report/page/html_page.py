"""The report as one HTML page that needs no network and no other file."""

from __future__ import annotations

import base64
import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from qharness.report.data.collection import Collection
from qharness.report.data.findings import Finding
from qharness.report.figures.report_figure import ReportFigure
from qharness.report.page.model_answers import answer_of
from qharness.report.page.problems import pack, problem_data
from qharness.report.page.report_output import contents
from qharness.report.tables.columns import Cell, Column, Table

VERDICTS = "verdicts"  # the key of the table and of the figure that stand first
RUN_TABLES = "runs"  # how the keys of the tables of all runs begin
_FILES = files("qharness.report") / "templates"


def page(
    collection: Collection,
    findings: Sequence[Finding],
    tables: Sequence[Table],
    figures: Sequence[ReportFigure],
    title: str,
) -> str:
    """The page as HTML. All texts of the runs are escaped.

    A content security policy allows one script, this package's own, by its hash, and forbids the network.
    """
    script = (_FILES / "report.js").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["order"] = order
    shown = [table.concise for table in tables if table.key != VERDICTS]
    drawings = [(figure, Markup(figure.inline)) for figure in figures]  # noqa: S704 - made by matplotlib, escaped
    template = environment.from_string((_FILES / "page.html").read_text(encoding="utf-8"))
    return template.render(
        title=title,
        policy=_policy(script),
        style=Markup((_FILES / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - a file of ours
        script=Markup(script),  # noqa: S704 - a file of ours
        contents=contents(collection),
        answers=[answer_of(finding) for finding in findings],
        tables=[(table, headings(table.columns), _has_filters(table)) for table in sorted(shown, key=_has_filters)],
        first_figures=[each for each in drawings if each[0].key == VERDICTS],
        figures=[each for each in drawings if each[0].key != VERDICTS],
        data=pack(problem_data(collection)),
    )


def _has_filters(table: Table) -> bool:
    """Whether it is a table of all runs; these have filters, and come last."""
    return table.key.partition("-")[0] == RUN_TABLES


def _policy(script: str) -> str:
    """A policy that fetches and sends nothing, and runs this script only. Figures need styles in attributes."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


@dataclass(frozen=True)
class Heading:
    """A heading cell: how many columns and rows it spans, and which column it sorts (None: a group's heading)."""

    text: str
    columns: int
    rows: int
    column: int | None


def headings(columns: Sequence[Column]) -> list[list[Heading]]:
    """The rows of a table's head: one, or two where columns are in groups."""
    single = [Heading(column.heading_in_group, 1, 1, place) for place, column in enumerate(columns)]
    if not any(column.group for column in columns):
        return [single]
    upper: list[Heading] = []
    for group, under in itertools.groupby(enumerate(columns), key=lambda each: each[1].group):
        places = [place for place, _ in under]
        if group:
            upper.append(Heading(group, len(places), 1, None))
        else:
            upper += [Heading(columns[place].heading, 1, 2, place) for place in places]
    return [upper, [heading for heading, column in zip(single, columns, strict=True) if column.group]]


def order(cell: Cell) -> str | None:
    """The number that a cell is sorted by, as text; empty for an undefined number, None for a text."""
    if cell.value is None:
        return None
    return "" if math.isnan(cell.value) else repr(float(cell.value))
