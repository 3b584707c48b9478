"""A table, and how it is written: Markdown, CSV, LaTeX."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qharness.visible_text import csv_cell, visible

UNDEFINED = "n/a"


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, what it is sorted by, and a `note` in parentheses after it, as a difference.

    `value` is NaN where a figure is undefined, and None where the cell is a text.
    """

    text: str
    value: float | None = None
    note: str = ""
    emphasis: bool = False

    @property
    def shown(self) -> str:
        """Text and note."""
        return f"{self.text} ({self.note})" if self.note else self.text


EMPTY = Cell("")
NOT_APPLICABLE = Cell("—")


def figure(
    value: float | None, form: str = ".2f", scale: float = 1.0, note: float | None = None, emphasis: bool = False
) -> Cell:
    """A number in a format, and a difference beside it with its sign; undefined ones are n/a."""
    if value is None or math.isnan(value):
        return Cell(UNDEFINED, math.nan)
    text = "∞" if math.isinf(value) else format(value if scale == 1 else value * scale, form)
    beside = "" if note is None else UNDEFINED if math.isnan(note) else format(note * scale, f"+{form}")
    return Cell(text, value * scale, beside, emphasis)


@dataclass(frozen=True)
class Column:
    """A column's name, unit, and the group it stands in under a common heading; `stub`: it names the row."""

    name: str
    unit: str = ""
    group: str = ""
    stub: bool = False

    @property
    def heading(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name


@dataclass(frozen=True)
class Table:
    """A table of a report. `key` names its files; `caption` says what it is of, with n and units."""

    key: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


def stub(*names: str) -> tuple[Column, ...]:
    """Columns that name the row."""
    return tuple(Column(name, stub=True) for name in names)


# ----------------------------------------------------------------------------------------------------------- Markdown


def to_markdown(table: Table) -> str:
    """Title, table and caption. Groups stand before their columns' names, for Markdown has no common headings."""
    lines = [
        _line([markdown_text(_flat(column)) for column in table.columns]),
        _line([":--" if column.stub else "--:" for column in table.columns]),
        *(_line([_emphasized(cell, "**{}**", markdown_text) for cell in row]) for row in table.rows),
    ]
    return f"## {markdown_text(table.title)}\n\n" + "\n".join(lines) + f"\n\n{markdown_text(table.caption)}\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def markdown_text(text: str) -> str:
    """As text: nothing in it is markup, of Markdown's or of HTML's."""
    text = visible(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", text)


def _emphasized(cell: Cell, form: str, escape: Callable[[str], str]) -> str:
    text = escape(cell.shown)
    return form.format(text) if cell.emphasis and text else text


def _flat(column: Column) -> str:
    return f"{column.group}: {column.heading}" if column.group not in ("", column.name) else column.heading


# ---------------------------------------------------------------------------------------------------------------- CSV


def to_csv(table: Table) -> str:
    """A header and a line a row. Numbers are written in full, in the table's units; undefined ones as n/a."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([csv_cell(_flat(column)) for column in table.columns])
    writer.writerows([[_plain(cell) for cell in row] for row in table.rows])
    return out.getvalue()


def _plain(cell: Cell) -> str:
    if cell.value is None:
        return csv_cell(cell.shown)
    if cell.note:
        return visible(cell.shown)
    if math.isnan(cell.value):
        return UNDEFINED
    return str(int(cell.value)) if float(cell.value).is_integer() else repr(float(cell.value))


# -------------------------------------------------------------------------------------------------------------- LaTeX

_LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "●": r"$\bullet$",
    "▲": r"$\blacktriangle$",
    "▼": r"$\blacktriangledown$",
    "∞": r"$\infty$",
    "−": r"$-$",  # noqa: RUF001
    "—": "---",
    "×": r"$\times$",  # noqa: RUF001
}
_MINUS = re.compile(r"(?<![^\s(])-(?=\d)")  # of a number, where a hyphen joins words
_PACKAGES = r"% needs \usepackage[T1]{fontenc} \usepackage{amssymb,booktabs,graphicx}"


def to_latex(table: Table) -> str:
    """A `table` environment with booktabs' rules, no wider than the line. It needs amssymb, booktabs and graphicx."""
    count = len(table.columns)
    alignment = "".join("l" if column.stub else "r" for column in table.columns)
    body = "\n".join(_latex_rows(table, count))
    return (
        f"{_PACKAGES}\n\\begin{{table}}\n\\centering\n"
        f"\\caption{{{_latex(table.title)}. {_latex(table.caption)}}}\n\\label{{tab:{table.key}}}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{{alignment}}}\n\\toprule\n{_spanners(table.columns)}"
        f"{_latex_line([_latex(column.heading) for column in table.columns])}\n\\midrule\n{body}\n\\bottomrule\n"
        "\\end{tabular}}\n\\end{table}\n"
    )


def _latex(text: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in visible(" ".join(text.split())))
    return _MINUS.sub("$-$", escaped)


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_rows(table: Table, count: int) -> list[str]:
    """The rows; what names several in a row stands in the first of them, and a rule before each new first name."""
    stubs = next((n for n, column in enumerate(table.columns) if not column.stub), count)
    lines: list[str] = []
    before: list[str] = []
    for row in table.rows:
        cells = [_emphasized(cell, r"\textbf{{{}}}", _latex) for cell in row]
        names = cells[:stubs]
        if before and stubs > 1 and names[0] != before[0]:
            lines.append(r"\midrule")
        same = next((n for n, (a, b) in enumerate(zip(names, before, strict=False)) if a != b), len(before))
        shown = [""] * min(same, stubs - 1) + names[min(same, stubs - 1) :] if before else names
        lines.append(_latex_line([*shown, *cells[stubs:]]))
        before = names
    return lines


def _spanners(columns: Sequence[Column]) -> str:
    """The line of common headings with rules under them; nothing where there are none."""
    if not any(column.group for column in columns):
        return ""
    cells, rules, place = [], [], 1
    for group, under in itertools.groupby(columns, key=lambda column: column.group):
        width = len(list(under))
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{_latex(group)}}}" if group else " & " * (width - 1))
        if group:
            rules.append(rf"\cmidrule(lr){{{place}-{place + width - 1}}}")
        place += width
    return f"{_latex_line(cells)}\n{' '.join(rules)}\n"
