"""Makes the runs of a study one after another: what fails is reported, and the rest goes on."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qharness.errors import QHarnessError, first_line
from qharness.evaluate.bridge import load_task, quiet
from qharness.evaluate.cells import make_cell
from qharness.models.store import Models
from qharness.progress import note
from qharness.runs import RunResult, RunSpec
from qharness.study.running import baseline_of, has_baseline, run_tasks


@dataclass(frozen=True)
class Attempt:
    """A run of a study: what came of it, or why nothing did."""

    spec: RunSpec
    result: RunResult | None = None
    error: str = ""


@dataclass(frozen=True)
class Plan:
    """A run of a study that may be to make."""

    spec: RunSpec
    folder: Path | None = None
    done: bool = False
    error: str = ""


def with_baselines(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """These runs and, before them, those they are compared with, each once."""
    baselines = dict.fromkeys(baseline_of(spec) for spec in specs if has_baseline(spec))
    return [*baselines, *(spec for spec in specs if dataclasses.replace(spec, compare=False) not in baselines)]


def plan(specs: Sequence[RunSpec]) -> Iterator[Plan]:
    """What `sweep` would do, without loading a model."""
    with quiet():
        for spec in with_baselines(specs):
            try:
                cell = make_cell(spec, load_task(spec.task, spec.data_dir, spec.seed))
                yield Plan(spec, cell.folder, cell.done is not None)
            except QHarnessError as error:
                yield Plan(spec, error=str(error))


def sweep(specs: Sequence[RunSpec], models: Models | None = None) -> Iterator[Attempt]:
    """Make the runs that are not whole yet, those to compare with first."""
    models = models or Models()
    todo = with_baselines(specs)
    for number, spec in enumerate(todo, 1):
        note(f"run {number} of {len(todo)}: {spec.model}, {spec.quant}, {spec.task}, seed {spec.seed}")
        try:
            yield Attempt(spec, run_tasks([spec], models)[0])
        except Exception as error:  # a model, a task or a plugin may fail in any way; the other runs are not to
            reason = str(error) if isinstance(error, QHarnessError) else f"{type(error).__name__}: {first_line(error)}"
            if not isinstance(error, QHarnessError):
                note(traceback.format_exc())
            note(f"failed: {reason}")
            yield Attempt(spec, error=reason)
