"""A table as Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence

from qharness.report.tables.columns import Cell, Column, Table
from qharness.visible_text import csv_cell, visible


def to_markdown(table: Table) -> str:
    """Title, concise table and caption. A group stands before its columns' names: Markdown has no common headings."""
    table = table.concise
    lines = [
        _line([markdown_text(_with_group(column)) for column in table.columns]),
        _line([":--" if column.stub else "--:" for column in table.columns]),
        *(_line([_emphasized(cell, "**{}**", markdown_text) for cell in row]) for row in table.rows),
    ]
    return f"## {markdown_text(table.title)}\n\n" + "\n".join(lines) + f"\n\n{markdown_text(table.caption)}\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def markdown_text(text: str) -> str:
    """A text with the markup characters of Markdown and HTML escaped."""
    text = visible(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", text)


def _emphasized(cell: Cell, form: str, escape: Callable[[str], str]) -> str:
    text = escape(cell.shown)
    return form.format(text) if cell.emphasis and text else text


def _with_group(column: Column) -> str:
    return f"{column.group}: {column.heading}" if column.group not in ("", column.name) else column.heading


def to_csv(table: Table) -> str:
    """A header, and a line for each row, of all columns. Numbers have six digits, in the table's units.

    What is undefined or does not apply is empty. A column of figures with differences beside them is two.
    """
    noted = [any(row[place].note for row in table.rows) for place in range(len(table.columns))]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [_with_group(column) for column in table.columns]
    writer.writerow(_spread(map(csv_cell, names), (csv_cell(f"{name}: difference") for name in names), noted))
    for row in table.rows:
        writer.writerow(_spread(map(_plain, row), (_digits(cell.noted) for cell in row), noted))
    return out.getvalue()


def _spread(cells: Iterable[str], differences: Iterable[str], noted: Iterable[bool]) -> list[str]:
    """Each cell, and after those of columns with differences beside them the difference."""
    parts = [(cell, other) if two else (cell,) for cell, other, two in zip(cells, differences, noted, strict=True)]
    return [text for part in parts for text in part]


def _plain(cell: Cell) -> str:
    if cell.missing:
        return ""
    return csv_cell(cell.shown) if cell.value is None else _digits(cell.value)


def _digits(value: float) -> str:
    """A number with six digits, whole ones with all of theirs; empty where it is undefined."""
    if math.isnan(value):
        return ""
    rounded = value if float(value).is_integer() or math.isinf(value) else float(f"{value:.6g}")
    return str(int(rounded)) if float(rounded).is_integer() else repr(float(rounded))


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
    """A `table` of the concise table, no wider than a line; it needs amssymb, booktabs and graphicx."""
    table = table.concise
    alignment = "".join("l" if column.stub else "r" for column in table.columns)
    heads = _latex_line([_latex(column.heading_in_group) for column in table.columns])
    body = "\n".join(_latex_rows(table))
    return (
        f"{_PACKAGES}\n\\begin{{table}}\n\\centering\n"
        f"\\caption{{{_latex(table.title)}. {_latex(table.caption)}}}\n\\label{{tab:{table.key}}}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{{alignment}}}\n\\toprule\n{_spanners(table.columns)}"
        f"{heads}\n\\midrule\n{body}\n\\bottomrule\n"
        "\\end{tabular}}\n\\end{table}\n"
    )


def _latex(text: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in visible(" ".join(text.split())))
    return _MINUS.sub("$-$", escaped)


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_rows(table: Table) -> list[str]:
    """The rows. A stub that repeats the row above is left empty, and a rule comes before each new first stub."""
    stubs = sum(column.stub for column in table.columns)
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
    """The line of group headings with rules under them; empty where there are no groups."""
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
