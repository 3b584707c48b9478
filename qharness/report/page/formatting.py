"""How figures of runs are shown in tables."""

from __future__ import annotations

import math
from collections.abc import Iterable

from qharness.report.data.finished_runs import PASS, FinishedRun
from qharness.report.tables.table import UNDEFINED, Cell, figure
from qharness.stats.adjustment import symbol

MARKS = "p: *** below 0.001, ** below 0.01, * below 0.05, ● below 0.1."
_LARGE = ((1e9, "B"), (1e6, "M"), (1e3, "K"))


def gigabytes(size: float | None) -> Cell:
    """Bytes in GB (10^9), with two decimals or three digits."""
    return figure(size, ".2f" if size and size >= 1e9 else ".3g", 1e-9)


def parameters(count: int | None) -> Cell:
    """A number of parameters, as 6.7B."""
    if count is None:
        return Cell(UNDEFINED, math.nan)
    scale, letter = next((each for each in _LARGE if count >= each[0]), (1.0, ""))
    return Cell(f"{count / scale:.3g}{letter}", float(count))


def mark(p: float | None) -> Cell:
    """A p-value by its mark; empty from 0.1."""
    value = math.nan if p is None else p
    return Cell(symbol(value), value)


def passing(entries: Iterable[FinishedRun]) -> list[str]:
    """The metrics pass@k that are defined in any of these runs, by k; pass@1 always."""
    names = {n for e in entries for n, value in e.metrics.items() if n.startswith("pass@") and not math.isnan(value)}
    return sorted(names | {PASS}, key=lambda name: int(name.partition("@")[2]))


def counted(number: int, noun: str) -> str:
    """A number of things, as `1 run` and `2,000 runs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def extent(entries: Iterable[FinishedRun]) -> str:
    """How many problems and completions the runs of each task have."""
    found: dict[str, set[tuple[int, int]]] = {}
    for entry in entries:
        found.setdefault(entry.task, set()).add((entry.n_problems, entry.n_samples))
    sizes = (
        f"{task} {_range(n for n, _ in each)} problems, completions of each: {_range(k for _, k in each)}"
        for task, each in found.items()
    )
    return f"n: {'; '.join(sizes)}."


def problems(entries: Iterable[FinishedRun]) -> str:
    """How many problems these runs have, for an axis: `n = 100 problems`."""
    return f"n = {_range(entry.n_problems for entry in entries)} problems"


def completions(entries: Iterable[FinishedRun]) -> str:
    """How many completions each of these runs has, for an axis."""
    return f"n = {_range(entry.n_problems * entry.n_samples for entry in entries)} completions"


def _range(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"
