"""Numbers as cells, and the texts that captions and axes share."""

from __future__ import annotations

import math
from collections.abc import Iterable

from qharness.report.data.finished_runs import FinishedRun
from qharness.report.tables.table import UNDEFINED, Cell, number_cell
from qharness.stats.adjustment import symbol

MARKS = "p: *** below 0.001, ** below 0.01, * below 0.05, ● below 0.1."
_UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "K"))


def gigabytes_cell(size: float | None) -> Cell:
    """Bytes in GB (10^9), with two decimals or three digits."""
    return number_cell(size, ".2f" if size and size >= 1e9 else ".3g", 1e-9)


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
