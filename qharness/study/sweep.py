"""Makes the runs of a study: what fails is reported, and the rest goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from qharness.errors import QHarnessError
from qharness.specs import RunSpec
from qharness.study.executors import Executor, Watcher
from qharness.study.executors.in_process import Here
from qharness.study.jobs import Attempt, Job, with_baselines
from qharness.study.live_view import Lines
from qharness.study.schedule import Schedule

__all__ = ["Attempt", "PlannedJob", "carry_out", "plan", "sweep", "with_baselines"]


@dataclass(frozen=True)
class PlannedJob:
    """A job of a study that may be to do. `folder`: of a run; of a measurement, its file."""

    spec: RunSpec
    kind: str = "run"
    folder: Path | None = None
    done: bool = False
    error: str = ""


def plan(jobs: Sequence[Job]) -> Iterator[PlannedJob]:
    """What `carry_out` would do, without loading a model."""
    from qharness.evaluate.run.lm_eval_bridge import (
        quiet,  # with torch and lm-eval, which a study's parent does without
    )

    with quiet():
        for job in jobs:
            try:
                yield _plan(job)
            except QHarnessError as error:
                yield PlannedJob(job.spec, job.kind, error=str(error))


def _plan(job: Job) -> PlannedJob:
    from qharness.evaluate.run.run_plan import plan_run
    from qharness.models.loading import is_at_hand
    from qharness.study.measurement_jobs import measured_path
    from qharness.study.run_jobs import check_model, checked_task

    if is_at_hand(job.spec.model):  # what is on the Hub only, the run will look at
        check_model(job.spec)
    if job.kind == "run":
        cell = plan_run(job.spec, checked_task(job.spec))
        return PlannedJob(job.spec, job.kind, cell.folder, cell.done is not None)
    path = measured_path(job.kind, job.spec)
    return PlannedJob(job.spec, job.kind, path, path.is_file())


def sweep(specs: Sequence[RunSpec]) -> list[Attempt]:
    """Make the runs that are not whole yet in this process, those to compare with first."""
    jobs = [Job(spec) for spec in with_baselines(specs)]
    return carry_out(jobs, Here(), Lines(jobs))


def carry_out(jobs: Sequence[Job], executor: Executor, watcher: Watcher) -> list[Attempt]:
    """Do jobs that are not done yet; what came of each, in their order."""
    attempts = {}
    with closing(executor.run(Schedule(jobs), watcher)) as ended:
        for attempt in ended:
            watcher.ended(attempt)
            attempts[attempt.spec, attempt.kind] = attempt
    return [attempts[job.spec, job.kind] for job in jobs]
