"""Pairs the rows of two runs' samples.jsonl: completion i of a problem in one with completion i in the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qharness.errors import SamplesError
from qharness.evaluate.run.run_folder import RUN, SAMPLES, read_lines, require_run
from qharness.results import RunRecord, SampleRow
from qharness.results.paired_results import ComparedExtent
from qharness.specs import RAW, TaskName

Key = tuple[str, int]
"""A problem: its task, without a perturbation, and the number of its document."""


@dataclass(frozen=True)
class Pairs:
    """One problem's completions in two runs: row i of `first` and row i of `second` are a pair."""

    key: Key
    first: list[SampleRow]
    second: list[SampleRow]

    @cached_property
    def passed(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether each completion passed, bool [pairs] of each run."""
        return passes(self.first), passes(self.second)

    @cached_property
    def rates(self) -> tuple[float, float]:
        """The two pass rates."""
        first, second = self.passed
        return float(first.mean()), float(second.mean())


def passes(rows: Iterable[SampleRow]) -> NDArray[np.bool_]:
    """Whether each row passed, bool [rows]."""
    return np.array([bool(row.passed) for row in rows], dtype=np.bool_)


def by_problem(rows: Iterable[SampleRow]) -> dict[Key, list[SampleRow]]:
    """Rows by problem, problems sorted, each one's rows in the order of samples."""
    found: dict[Key, list[SampleRow]] = {}
    for row in sorted(rows, key=lambda row: (row.task, row.doc_id, row.sample)):
        found.setdefault((row.base_task, row.doc_id), []).append(row)
    return found


def pair(first: Iterable[SampleRow], second: Iterable[SampleRow]) -> list[Pairs]:
    """Pair the completions that both runs have, by problem; those of one run only are left out."""
    problems = by_problem(first), by_problem(second)
    found = []
    for key in sorted(problems[0].keys() & problems[1].keys()):
        samples = [{row.sample: row for row in run[key]} for run in problems]
        both = sorted(samples[0].keys() & samples[1].keys())
        if both:
            found.append(Pairs(key, *([run[n] for n in both] for run in samples)))
    return found


@dataclass(frozen=True)
class RunRows:
    """The rows of a finished run's samples.jsonl, in order, its task, its main metric and the form of its prompts.

    `noise`: as RunRecord has it; runs of one noise drew with common random numbers. `prompting`, `language`: as RunSpec
    has them.
    """

    folder: Path
    task: TaskName
    rows: Sequence[SampleRow]
    metric: str | None = None
    noise: int | None = None
    prompting: str = RAW
    language: str | None = None

    def coupled(self, other: RunRows) -> bool:
        """Whether both runs drew with common random numbers."""
        return self.noise is not None and self.noise == other.noise

    @cached_property
    def places(self) -> frozenset[tuple[Key, int]]:
        """The problem and the number of each completion."""
        return frozenset(((row.base_task, row.doc_id), row.sample) for row in self.rows)

    @property
    def extent(self) -> ComparedExtent:
        """How many problems and completions there are."""
        return ComparedExtent(len({problem for problem, _ in self.places}), len(self.places))

    @cached_property
    def texts(self) -> list[SampleRow]:
        """The rows that are texts with scores; none of a run of programs."""
        return [row for row in self.rows if row.is_text]


def read_run_rows(folder: Path) -> RunRows:
    """Read the rows of a finished run. Raises SamplesError for a run without a samples.jsonl."""
    record = RunRecord.of_document(require_run(folder), folder / RUN)
    return run_rows(record, folder)


def run_rows(record: RunRecord, folder: Path, rows: Sequence[SampleRow] = ()) -> RunRows:
    """Read the rows of a run whose record has been read; or take `rows`, if there are any."""
    spec, rows = record.spec, rows or read_rows(folder)
    metric, noise = record.main_metric_name, record.noise
    return RunRows(folder, spec.task_name, rows, metric, noise, spec.prompting, spec.language)


def read_rows(folder: Path) -> Sequence[SampleRow]:
    """Read the rows in the folder of a finished run. Raises SamplesError where there is no samples.jsonl."""
    if not (folder / SAMPLES).is_file():
        raise SamplesError(f"{folder} has no {SAMPLES}: its task runs no programs, so there are no passes to compare")
    lines = read_lines(folder / SAMPLES, ("task", "doc_id", "sample", "completion", "status", "passed"))
    return SampleRow.of_documents(lines, folder / SAMPLES)


def all_run(rows: Sequence[SampleRow], folder: Path) -> Sequence[SampleRow]:
    """The rows themselves. Raises SamplesError, naming the folder, where one completion was not run."""
    if any(row.passed is None for row in rows):
        raise SamplesError(f"{folder} holds completions that were not run: there are no passes to compare")
    return rows
