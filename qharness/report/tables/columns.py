"""A table of a report: its cells, its columns, and the function of a row that gives each column's cell."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

UNDEFINED = "n/a"
_RESULTS = ("%", "points")
Row = TypeVar("Row")


@dataclass(frozen=True)
class Cell:
    """The text of a cell, the value it is sorted by, and a `note` in parentheses after the text, such as a difference.

    `value` is NaN where a number is undefined, and None where the cell is a text. `noted`: the note's number; NaN where
    it is undefined or there is none.
    """

    text: str
    value: float | None = None
    note: str = ""
    emphasis: bool = False
    noted: float = math.nan

    @property
    def shown(self) -> str:
        """Text and note."""
        return f"{self.text} ({self.note})" if self.note else self.text

    @property
    def missing(self) -> bool:
        """Whether it holds neither a text nor a defined number."""
        return self.text in ("", NOT_APPLICABLE.text) if self.value is None else math.isnan(self.value)


NOT_APPLICABLE = Cell("—")


def number_cell(
    value: float | None, form: str = ".2f", scale: float = 1.0, note: float | None = None, emphasis: bool = False
) -> Cell:
    """A number times `scale` in a format, with a difference beside it that has its sign; n/a where it is undefined."""
    if value is None or math.isnan(value):
        return Cell(UNDEFINED, math.nan)
    form = form.replace(".", "z.") if form.endswith("f") else form  # no minus before zero
    text = "∞" if math.isinf(value) else format(value if scale == 1 else value * scale, form)
    beside = "" if note is None else UNDEFINED if math.isnan(note) else format(note * scale, f"+{form}")
    return Cell(text, value * scale, beside, emphasis, math.nan if note is None else note * scale)


@dataclass(frozen=True)
class Column:
    """A column's name, unit, and the group it stands in under a common heading; a `stub` column names the row."""

    name: str
    unit: str = ""
    group: str = ""
    stub: bool = False

    @property
    def heading(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    @property
    def heading_in_group(self) -> str:
        """The heading under the group's: what is named like the group is its estimate."""
        return dataclasses.replace(self, name="estimate").heading if self.name == self.group else self.heading

    @property
    def full_name(self) -> str:
        """Group and name."""
        return self.name if self.group in ("", self.name) else f"{self.group}: {self.name}"


@dataclass(frozen=True)
class CellColumn(Column, Generic[Row]):
    """A column with the function of a row that gives its cell, or the text of its cell."""

    cell: Callable[[Row], Cell | str] = field(kw_only=True)

    def cell_of(self, row: Row) -> Cell:
        """This column's cell of a row."""
        cell = self.cell(row)
        return cell if isinstance(cell, Cell) else Cell(cell)


def stub(name: str, cell: Callable[[Row], Cell | str], unit: str = "") -> CellColumn[Row]:
    """A column that names the row."""
    return CellColumn(name, unit, stub=True, cell=cell)


def number(
    name: str, unit: str, value: Callable[[Row], float | None], form: str = ".2f", scale: float = 1.0, group: str = ""
) -> CellColumn[Row]:
    """A column of numbers, each times `scale` in a format."""
    return CellColumn(name, unit, group, cell=lambda row: number_cell(value(row), form, scale))


@dataclass(frozen=True)
class Table:
    """A table of a report. `key` names its files; `caption` says what it shows, with n and units."""

    key: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def says_something(self) -> bool:
        """Whether any cell beside those that name the rows holds a text or a defined number."""
        return any(
            not (column.stub or cell.missing)
            for row in self.rows
            for column, cell in zip(self.columns, row, strict=True)
        )

    @cached_property
    def concise(self) -> Table:
        """The table to read: without columns that hold nothing, and without those that hold the same in all rows.

        What all rows have in common stands in the caption; results, which are in percent or points, stay.
        """
        shared: dict[str, list[str]] = {}
        kept: list[int] = []
        for place, column in enumerate(self.columns):
            cells = [row[place] for row in self.rows]
            if all(cell.missing for cell in cells):
                continue
            alike = len(cells) > 1 and len({(cell.shown, cell.value) for cell in cells}) == 1
            if alike and column.unit not in _RESULTS:
                shared.setdefault(cells[0].shown, []).append(column.full_name)
            else:
                kept.append(place)
        if not any(not self.columns[place].stub for place in kept):
            return self
        common = "; ".join(f"{', '.join(names)} {value}".rstrip() for value, names in shared.items())
        caption = f"{self.caption} The same in all rows: {common}." if common else self.caption
        rows = tuple(tuple(row[place] for place in kept) for row in self.rows)
        return Table(self.key, self.title, caption, tuple(self.columns[place] for place in kept), rows)


def table_of(
    key: str, title: str, caption: str, columns: Sequence[CellColumn[Row]], rows: Iterable[Row]
) -> list[Table]:
    """The table of these rows, in a list; no table without a row."""
    cells = tuple(tuple(column.cell_of(row) for column in columns) for row in rows)
    return [Table(key, title, caption, tuple(columns), cells)] if cells else []
