"""Numbers as cells, and the texts that captions and axes share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from qharness.report.data.finished_runs import FinishedRun
from qharness.report.tables.columns import UNDEFINED, Cell, CellColumn, Row
from qharness.stats.adjustment import symbol

MARKS = "p: *** below 0.001, ** below 0.01, * below 0.05, ● below 0.1."
_UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "K"))


@dataclass(frozen=True)
class ByteUnit:
    """A unit of bytes, powers of ten, in which sizes that are read together stand."""

    name: str
    scale: float

    @classmethod
    def of(cls, sizes: Iterable[float | None]) -> ByteUnit:
        """GB where all known sizes are at least one, else MB."""
        known = [size for size in sizes if size and size > 0]
        return GIGABYTES if known and min(known) >= GIGABYTES.scale else MEGABYTES

    def number(self, size: float) -> str:
        """The number alone: two digits behind the point, three digits of what is below 1, none from 1,000 on."""
        value = size / self.scale
        digits = ".3g" if value < 1 else ".2f" if value < 100 else ".1f" if value < 1000 else ".0f"
        return format(value, digits)

    def cell(self, size: float | None) -> Cell:
        """A cell of a column in this unit."""
        if not size or math.isnan(size):
            return Cell(UNDEFINED, math.nan)
        return Cell(self.number(size), size / self.scale)


MEGABYTES, GIGABYTES = ByteUnit("MB", 1e6), ByteUnit("GB", 1e9)


def size_text(size: float | None) -> str:
    """Bytes in the unit that suits them, such as `219.6 MB`; empty where they are not known."""
    if not size or math.isnan(size):
        return ""
    unit = ByteUnit.of([size])
    return f"{unit.number(size)} {unit.name}"


def size_column(
    name: str, rows: Iterable[Row], size: Callable[[Row], float | None], *, stub: bool = False, group: str = ""
) -> CellColumn[Row]:
    """A column of sizes, all in the unit that suits those of `rows`."""
    unit = ByteUnit.of(map(size, rows))
    return CellColumn(name, unit.name, group, stub, cell=lambda row: unit.cell(size(row)))


def parameters_cell(count: int | None) -> Cell:
    """A number of parameters, such as 6.7B."""
    if count is None:
        return Cell(UNDEFINED, math.nan)
    scale, letter = next((unit for unit in _UNITS if count >= unit[0]), (1.0, ""))
    return Cell(f"{count / scale:.3g}{letter}", float(count))


def significance_cell(p_value: float) -> Cell:
    """The mark of a p-value; empty from 0.1."""
    return Cell(symbol(p_value), p_value)


def plural(count: int, noun: str) -> str:
    """A count with its noun: `1 run`, `2,000 runs`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def sizes_caption(runs: Iterable[FinishedRun]) -> str:
    """How many problems and completions the runs of each task have."""
    sizes: dict[str, set[tuple[int, int]]] = {}
    for run in runs:
        sizes.setdefault(run.task, set()).add((run.n_problems, run.n_samples))
    texts = (
        f"{task} {_range(n for n, _ in each)} problems, completions of each: {_range(k for _, k in each)}"
        for task, each in sizes.items()
    )
    return f"n: {'; '.join(texts)}."


def problems_text(runs: Iterable[FinishedRun]) -> str:
    """How many problems these runs have, for an axis: `n = 100 problems`."""
    return f"n = {_range(run.n_problems for run in runs)} problems"


def completions_text(runs: Iterable[FinishedRun]) -> str:
    """How many completions each of these runs has, for an axis."""
    return f"n = {_range(run.n_problems * run.n_samples for run in runs)} completions"


def _range(numbers: Iterable[int]) -> str:
    ordered = sorted(set(numbers))
    return str(ordered[0]) if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"
