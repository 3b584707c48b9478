"""Builds a table cell by cell: rows and columns stand in the order in which they are first put."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from qharness.report.tables.table import NOT_APPLICABLE, Cell, Column, Table


@dataclass
class Pivot:
    """A table in the making. A row is known by what its `stubs` show, a column by its name and group.

    `groups`: those that come first, in this order.
    """

    stubs: tuple[Column, ...]
    groups: Sequence[str] = ()
    _rows: dict[tuple[str, ...], tuple[Cell, ...]] = field(default_factory=dict)
    _columns: dict[tuple[str, str], Column] = field(default_factory=dict)
    _cells: dict[tuple[tuple[str, ...], tuple[str, str]], Cell] = field(default_factory=dict)

    def put(self, row: Sequence[Cell | str], column: Column, cell: Cell) -> None:
        """Put a cell, in place of one that stood there."""
        cells = tuple(each if isinstance(each, Cell) else Cell(each) for each in row)
        name, place = tuple(cell.text for cell in cells), (column.group, column.name)
        self._rows.setdefault(name, cells)
        self._columns.setdefault(place, column)
        self._cells[name, place] = cell

    def tables(self, key: str, title: str, caption: str) -> list[Table]:
        """The table, in a list; none without a row. Columns of one group stand together; empty places show a dash."""
        if not self._rows:
            return []
        groups = list(dict.fromkeys([*self.groups, *(group for group, _ in self._columns)]))
        ordered = sorted(self._columns, key=lambda place: groups.index(place[0]))
        rows = tuple(
            (*stubs, *(self._cells.get((name, place), NOT_APPLICABLE) for place in ordered))
            for name, stubs in self._rows.items()
        )
        return [Table(key, title, caption, (*self.stubs, *(self._columns[place] for place in ordered)), rows)]
