"""Prints every table of the command line: no number is ever cut, whatever the terminal's width."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from qharness.visible_text import visible_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PIPED_WIDTH = 160
_FIGURE = r"[<+-]?\s?\d[\d.,e%+-]*( (points?|s|min|h|[KMG]?B))?"
_NUMBER = re.compile(rf"{_FIGURE}( (to|of|/|->|±) {_FIGURE})?|n/a|")
_UNBROKEN = 14  # letters of a heading that stay on one line
_Cells = Sequence[str]


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, settings: int = 0) -> None:
    """Print a table as wide as the terminal, or 160 columns elsewhere.

    Columns that are empty are left out. Of the first `settings` columns, those that are equal in all of several rows
    are said in a line before. Texts are folded, numbers are not: where the columns do not fit, the rest of them follow
    in a table of their own, which begins with the columns that tell the rows apart.
    """
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False)  # brackets and colons are what they are
    columns = _columns(header, [[visible_lines(cell) for cell in row] for row in rows])
    same = {name: cells[0] for name, cells in columns if name in header[:settings] and cells[1:] and len({*cells}) == 1}
    if same:
        console.print(", ".join(f"{name} {value}" for name, value in same.items()), soft_wrap=True)
    columns = [(name, cells) for name, cells in columns if name not in same]
    if not console.is_terminal:
        console.width = max(_PIPED_WIDTH, _least_width(columns, console))
    for part in _parts(columns, console):
        console.print(_table(part))


def _columns(header: Sequence[str], rows: Sequence[_Cells]) -> list[tuple[str, _Cells]]:
    """The columns with their headings, but for those with empty cells alone."""
    columns = [(name, [row[place] for row in rows]) for place, name in enumerate(header)]
    return [(name, cells) for name, cells in columns if not rows or any(cells)]


def _parts(columns: Sequence[tuple[str, _Cells]], console: Console) -> Iterator[Sequence[tuple[str, _Cells]]]:
    """The columns, in as many tables as the width asks for."""
    keys = _keys(columns)
    part, rest = list(columns[: keys + 1]), list(columns[keys + 1 :])
    while rest:
        if _least_width([*part, rest[0]], console) > console.width:
            yield part
            part = list(columns[:keys])
        part.append(rest.pop(0))
    yield part


def _keys(columns: Sequence[tuple[str, _Cells]]) -> int:
    """How many of the first columns tell the rows apart; 1 where none do."""
    for count in range(1, len(columns)):
        rows = list(zip(*(cells for _, cells in columns[:count]), strict=True))
        if len(set(rows)) == len(rows):
            return count
    return 1


def _table(columns: Sequence[tuple[str, _Cells]], shown: Callable[[_Cells], _Cells] = list) -> Table:
    """A table of these columns; `shown`: those of a column's cells that are put into it."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for name, cells in columns:
        numeric = any(cells) and all(_NUMBER.fullmatch(cell) for cell in cells)
        if numeric:
            width = max(min(len(name), _UNBROKEN), *map(len, [*cells, *name.split()]))
            heading = "\n".join(textwrap.wrap(name, width))
            table.add_column(heading, no_wrap=True, justify="right", min_width=width)
        else:
            table.add_column(name, overflow="fold")
    for row in zip(*(shown(cells) for _, cells in columns), strict=True):
        table.add_row(*row)
    return table


def _least_width(columns: Sequence[tuple[str, _Cells]], console: Console) -> int:
    """Columns of the terminal that a table needs at least: its numbers and its longest words."""
    from rich.measure import Measurement

    table = _table(columns, _widest)  # of ten thousand rows, rich would measure each cell as often as there are columns
    return Measurement.get(console, console.options.update(max_width=10_000), table).minimum


def _widest(cells: _Cells) -> _Cells:
    """The cells that decide a column's least width: one with the longest line, and one with the longest word."""
    from rich.cells import cell_len

    if not cells:
        return cells
    return [
        max(cells, key=lambda cell: max(map(cell_len, cell.split("\n")))),
        max(cells, key=lambda cell: max(map(cell_len, cell.split()), default=0)),
    ]
