"""The order of a study's jobs: those of one model together, and each after the run that it is compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from qharness.evaluate.run.run_folder import read_run
from qharness.results import RunResult
from qharness.specs import ModelSpec
from qharness.study.jobs import Attempt, Job, JobOutcome


@dataclass(frozen=True)
class Group:
    """Jobs for one process, in order. `wait`: for other processes that are at them."""

    jobs: list[Job]
    wait: bool


class Schedule:
    """The jobs that have not ended. A job that another process is at goes to the end, and is waited for then."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._groups: dict[tuple[ModelSpec, bool], list[Job]] = {}
        self._open: set[Job] = set()
        self._losses: Counter[tuple[Job, str]] = Counter()
        for job in jobs:
            self._add(job, wait=False)

    def _add(self, job: Job, *, wait: bool) -> None:
        self._open.add(job)
        self._groups.setdefault((job.model, wait), []).append(job)

    @property
    def open(self) -> bool:
        """Whether there are jobs that have not ended."""
        return bool(self._open)

    def take(self) -> Group | None:
        """The next jobs to begin; None where there are none, or none before some that were taken end."""
        for (key, wait), jobs in self._groups.items():
            if not any(job.needs in self._open and job.needs not in jobs for job in jobs):
                del self._groups[key, wait]
                return Group(jobs, wait)
        return None

    def end(self, job: Job, outcome: JobOutcome) -> list[Attempt]:
        """Record a job's outcome; the jobs that have ended with it: itself, and if it failed those compared with it."""
        if outcome.busy:
            self._add(job, wait=True)
            return []
        self._open.discard(job)
        ended = _attempt(job, outcome)
        if not ended.error:
            return [ended]
        dependents = [each for jobs in self._groups.values() for each in jobs if each.needs == job]
        self._drop(dependents)
        reason = JobOutcome(error=f"what it is compared with failed: {ended.error}")
        return [ended, *(_attempt(each, reason) for each in dependents)]

    def lost(self, job: Job, cause: str = "process") -> int:
        """Record that what a job ran on died, its process or its machine; return how often that has happened to it."""
        self._losses[job, cause] += 1
        return self._losses[job, cause]

    def _drop(self, dropped: list[Job]) -> None:
        self._open.difference_update(dropped)
        left = {key: [job for job in jobs if job not in dropped] for key, jobs in self._groups.items()}
        self._groups = {key: jobs for key, jobs in left.items() if jobs}


def _attempt(job: Job, outcome: JobOutcome) -> Attempt:
    path, error, result = outcome.path, outcome.error, None
    if path is not None and job.kind == "run":
        if job.remote:
            job.remote.fetch(path.name)
            path = job.remote.folder / path.name
        document = read_run(path)
        result = RunResult(path, document) if document is not None else None
        error = error if document is not None else f"{path} cannot be read here: a shared folder is needed, or a URL"
    return Attempt(job, result, error, path)
