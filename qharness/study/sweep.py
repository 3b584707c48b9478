"""Does the jobs of a study: one that fails is reported, and the rest goes on."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qharness.errors import QHarnessError
from qharness.progress import kept_when_stopped
from qharness.quantization.resolution import bind_model
from qharness.specs import ModelSpec, RunSpec
from qharness.study.executors import Executor, Watcher
from qharness.study.executors.in_process import InProcess
from qharness.study.jobs import Attempt, Job, Measurement, with_baselines
from qharness.study.known_runs import FolderHashes, known_results
from qharness.study.live_view import Lines
from qharness.study.schedule import Schedule

if TYPE_CHECKING:
    from qharness.evaluate.run.lm_eval_bridge import LoadedTask
    from qharness.evaluate.run.run_plan import PlannedRun
    from qharness.models.checkpoint import Checkpoint
    from qharness.models.server_model import ServerModel
    from qharness.quantization.resolution import ResolvedModel

__all__ = ["Attempt", "PlannedJob", "carry_out", "plan", "sweep", "with_baselines"]


@dataclass(frozen=True)
class PlannedJob:
    """A job of a study, and whether it is done. `folder`: of a run; of a measurement, its file.

    `run`: of a run, what is to be run; `completions`: how many it has in all, of which `found` are there already.
    """

    job: Job
    folder: Path | None = None
    done: bool = False
    error: str = ""
    run: PlannedRun | None = None
    completions: int = 0
    found: int = 0

    @property
    def state(self) -> str:
        """What is to be done, in words."""
        if self.error or self.done:
            return self.error or "done"
        return f"resumes: {self.found:,} of {self.completions:,} completions are there" if self.found else "to do"


class _Shared:
    """The tasks, models and checkpoints of a study's jobs, each looked at once."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, LoadedTask] = {}
        self._models: dict[ModelSpec, ResolvedModel] = {}
        self._sources: dict[Hashable, Checkpoint | ServerModel] = {}

    def task(self, spec: RunSpec) -> LoadedTask:
        """A spec's task. It is set to the spec's sampling later, so it is shared by those of one sampling."""
        from qharness.study.run_jobs import checked_task

        key = spec.task, spec.data_dir, spec.seed, spec.language, spec.allow_unsandboxed, spec.sampling
        if key not in self._tasks:
            self._tasks[key] = checked_task(spec)
        return self._tasks[key]

    def model(self, spec: ModelSpec) -> ResolvedModel:
        """A spec's model, with the checkpoint of others that it is the quantization of too."""
        from qharness.quantization.resolution import resolve

        if spec not in self._models:
            key = spec.model, spec.trust_remote_code, spec.base_url, spec.api_key_env
            model = resolve(bind_model(spec), self._sources.get(key))
            self._models[spec] = model
            self._sources[key] = model.source
        return self._models[spec]


def plan(jobs: Sequence[Job]) -> Iterator[PlannedJob]:
    """The jobs that `carry_out` would do, and those that are done, without loading a model."""
    from qharness.evaluate.run.lm_eval_bridge import (
        quiet,  # with torch and lm-eval, which a study's parent does without
    )

    shared = _Shared()
    with quiet():
        for job in jobs:
            try:
                yield _plan(job, shared)
            except QHarnessError as error:
                yield PlannedJob(job, error=str(error))


def _plan(job: Job, shared: _Shared) -> PlannedJob:
    """Find where a job's result belongs and whether it is there. Raises QHarnessError for a job that cannot be done."""
    from qharness.evaluate.run.run_folder import read_run
    from qharness.evaluate.run.run_plan import count_completions, plan_run
    from qharness.study.measurement_jobs import measured_path
    from qharness.study.run_jobs import check_model

    spec, model = job.spec, shared.model(job.model)
    at_hand = model.source.is_local  # a model that is on the Hub only, or on a server, the run will look at
    if isinstance(spec, Measurement):
        if at_hand:
            model.checkpoint.check()
        path = measured_path(job.kind, spec.output, model, spec.instance)
        return PlannedJob(job, path, path.is_file())
    if at_hand:
        check_model(spec, model)
    run = plan_run(spec, model, shared.task(spec))
    completions, found = count_completions(run)
    return PlannedJob(job, run.folder, read_run(run.folder) is not None, run=run, completions=completions, found=found)


def sweep(specs: Sequence[RunSpec]) -> list[Attempt]:
    """Make the runs that are not whole yet in this process, those to compare with first."""
    jobs = [Job(spec) for spec in with_baselines(specs)]
    return carry_out(jobs, InProcess(), Lines(jobs))


def carry_out(jobs: Sequence[Job], executor: Executor, watcher: Watcher) -> list[Attempt]:
    """Do the jobs that are not done yet; an attempt for each, in their order.

    Those that are known to be done are not given to the executor, which may not have to start a process then.
    """
    attempts: dict[Job, Attempt] = {}

    def kept() -> str:
        done = sum(not attempt.error for attempt in attempts.values())
        return f"{done} of {len(jobs)} jobs are done, and completions of the others are kept in their folders"

    with kept_when_stopped(kept):
        hashes = FolderHashes()
        for attempt in filter(None, (_known(job, hashes) for job in jobs)):
            watcher.ended(attempt)
            attempts[attempt.job] = attempt
        left = [job for job in jobs if job not in attempts]
        if left:
            with closing(executor.run(Schedule(left), watcher)) as ended:
                for attempt in ended:
                    watcher.ended(attempt)
                    attempts[attempt.job] = attempt
    return [attempts[job] for job in jobs]


def _known(job: Job, hashes: FolderHashes) -> Attempt | None:
    """The attempt of a run that is known to be done, in a folder of this machine; None of any other job."""
    if not isinstance(job.spec, RunSpec) or job.kind != "run" or job.remote is not None:
        return None
    try:
        results = known_results([job.spec], bind_model(job.model), hashes)
    except QHarnessError:  # the executor says so
        return None
    return Attempt(job, results[0], path=results[0].folder) if results else None
