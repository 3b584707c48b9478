"""A table that is filled cell by cell: rows and columns stand in the order in which they are first put."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic

from qharness.report.tables.table import NOT_APPLICABLE, Cell, CellColumn, Column, Row, Table

_Names = tuple[str, ...]


@dataclass
class Pivot(Generic[Row]):
    """A table in the making. Rows whose stubs read alike are one row, columns of one name and group one column.

    `groups`: the groups of columns that come first, in this order.
    """

    stubs: Sequence[CellColumn[Row]]
    groups: Sequence[str] = ()
    _rows: dict[_Names, list[Cell]] = field(default_factory=dict)
    _columns: dict[tuple[str, str], Column] = field(default_factory=dict)
    _cells: dict[tuple[_Names, tuple[str, str]], Cell] = field(default_factory=dict)

    def put(self, row: Row, column: Column, cell: Cell) -> None:
        """Put a cell into a row and a column; it replaces one that stood there."""
        stubs = [each.cell_of(row) for each in self.stubs]
        names, place = tuple(each.text for each in stubs), (column.group, column.name)
        self._rows.setdefault(names, stubs)
        self._columns.setdefault(place, column)
        self._cells[names, place] = cell

    def tables(self, key: str, title: str, caption: str) -> list[Table]:
        """The table, in a list; none without a row. Columns of one group stand together; empty places show a dash."""
        if not self._rows:
            return []
        groups = list(dict.fromkeys([*self.groups, *(group for group, _ in self._columns)]))
        ordered = sorted(self._columns, key=lambda place: groups.index(place[0]))
        rows = tuple(
            (*stubs, *(self._cells.get((names, place), NOT_APPLICABLE) for place in ordered))
            for names, stubs in self._rows.items()
        )
        return [Table(key, title, caption, (*self.stubs, *(self._columns[place] for place in ordered)), rows)]
