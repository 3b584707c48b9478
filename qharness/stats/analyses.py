"""Breaks a pass rate down: levels of difficulty, kinds of failure, problems lost and won.

`rows` are those of a finished run's samples.jsonl.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from qharness.api.languages import MissingNames, Status
from qharness.registry import get_registry
from qharness.results import SampleRow
from qharness.results.paired_results import ChangedProblem
from qharness.stats.pairing import Pairs, by_problem, passes

MISSING_NAME = "missing-name"
"""The kind of a program that uses a name, method or package which does not exist."""
_KINDS = {status: str(status) for status in Status} | {Status.FAILED: "assertion", Status.ERROR: "exception"}
_OF_NAMES = frozenset({Status.ERROR, Status.COMPILE_ERROR})
_LEVELS = ("easy", "medium", "middle", "hard")


def relative_decrease(baseline: float, quantized: float) -> float:
    """100 (quantized - baseline) / baseline: "Dec (%)" of table 7 of Giagnorio et al. 2025, negative for a loss.

    NaN where the baseline is 0.
    """
    return 100 * (quantized - baseline) / baseline if baseline else math.nan


@dataclass(frozen=True)
class Level:
    """The problems of one level of difficulty; `pass_rate` is the mean of their `rates`."""

    n_problems: int
    n_samples: int
    pass_rate: float
    rates: tuple[float, ...] = ()


def by_level(rows: Iterable[SampleRow]) -> dict[str, Level]:
    """Pass rates by the rows' `level`, easy before hard; empty where the benchmark has no levels."""
    problems: dict[str, list[list[SampleRow]]] = {}
    for samples in by_problem(row for row in rows if row.level is not None).values():
        problems.setdefault(str(samples[0].level), []).append(samples)
    order = [*(level for level in _LEVELS if level in problems), *(level for level in problems if level not in _LEVELS)]
    return {level: _level(problems[level]) for level in order}


def _level(problems: Sequence[Sequence[SampleRow]]) -> Level:
    rates = tuple(float(passes(samples).mean()) for samples in problems)
    return Level(len(problems), sum(map(len, problems)), float(np.mean(rates)), rates)


def failure_kinds(rows: Iterable[SampleRow]) -> dict[str, int]:
    """Count completions by how they ended; every kind is there, with 0 where it did not occur.

    A kind is a status, with three exceptions: `failed` is an `assertion`, `error` an `exception`, and an error or
    compile error of a name that does not exist is a `missing-name`.
    """
    missing, counts = _missing_names(), Counter[str]()
    for (status, detail), number in Counter((row.status, row.detail) for row in rows).items():
        counts[_kind(Status(status or ""), detail or "", missing)] += number
    return {kind: counts[kind] for kind in (*_KINDS.values(), MISSING_NAME)}


def _missing_names() -> re.Pattern[str]:
    """The languages' patterns of errors of names that do not exist, as one; matches nothing if none has any."""
    registry = get_registry()
    languages = (registry.language(name) for name in registry.languages)
    patterns = [language.missing_names for language in languages if isinstance(language, MissingNames)]
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or r"(?!)")


def _kind(status: Status, detail: str, missing: re.Pattern[str]) -> str:
    return MISSING_NAME if status in _OF_NAMES and missing.match(detail) else _KINDS[status]


@dataclass(frozen=True)
class PassChange:
    """A problem whose pass rate differs, and one pair of its completions, the first that differs in its direction."""

    problem: ChangedProblem
    first: SampleRow
    second: SampleRow


def changes(problems: Sequence[Pairs]) -> tuple[list[PassChange], list[PassChange]]:
    """(lost, won): problems whose pass rate is lower in the second run, and higher; those that differ most first."""
    found = [_change(each) for each in problems if each.rates[0] != each.rates[1]]
    found.sort(key=lambda each: -abs(each.problem.b - each.problem.a))
    lost = [each for each in found if each.problem.b < each.problem.a]
    return lost, [each for each in found if each.problem.b > each.problem.a]


def _change(problem: Pairs) -> PassChange:
    a, b = problem.rates
    first, second = problem.passed
    shown = int(np.argmax(first & ~second if b < a else second & ~first))
    row = problem.first[shown]
    return PassChange(ChangedProblem(*problem.key, row.task_id, a, b), row, problem.second[shown])
