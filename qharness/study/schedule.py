"""The order of a study's jobs: those of one model together, and each after the run that it is compared with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

from qharness.evaluate.run.run_folder import read_run
from qharness.results import RunResult
from qharness.specs import ModelSpec
from qharness.study.jobs import Attempt, Job, JobOutcome


@dataclass(frozen=True)
class Group:
    """Jobs for one process, in order. `wait`: for other processes that are at them."""

    jobs: list[Job]
    wait: bool


_Key = tuple[ModelSpec, bool]


class Schedule:
    """The jobs that have not ended. A job that another process is at goes to the end, and is waited for then.

    A group that cannot begin waits for one job, and is looked at again when that has ended.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._groups: dict[_Key, list[Job]] = {}  # those that were not taken
        self._needs: dict[Job, Job | None] = {}
        self._needed_by: defaultdict[Job, list[Job]] = defaultdict(list)
        self._to_look_at: list[tuple[int, _Key]] = []  # a heap: what came first is first
        self._waiting: defaultdict[Job, list[tuple[int, _Key]]] = defaultdict(list)
        self._places = count()
        self._open: set[Job] = set()
        self._losses: Counter[tuple[Job, str]] = Counter()
        for job in jobs:
            self._needs[job] = needs = job.needs
            if needs is not None:
                self._needed_by[needs].append(job)
            self._add(job, wait=False)

    def _add(self, job: Job, *, wait: bool) -> None:
        self._open.add(job)
        key = (job.model, wait)
        if key not in self._groups:
            self._groups[key] = []
            heappush(self._to_look_at, (next(self._places), key))
        self._groups[key].append(job)

    @property
    def open(self) -> bool:
        """Whether there are jobs that have not ended."""
        return bool(self._open)

    def take(self) -> Group | None:
        """The next jobs to begin; None where there are none, or none before some that were taken end."""
        while self._to_look_at:
            place, key = heappop(self._to_look_at)
            jobs = self._groups.get(key)
            if jobs is None:  # all of them were dropped
                continue
            needed = {self._needs[job] for job in jobs}.difference(jobs)
            awaited = next((job for job in needed if job in self._open), None)
            if awaited is None:
                del self._groups[key]
                return Group(jobs, wait=key[1])
            self._waiting[awaited].append((place, key))
        return None

    def end(self, job: Job, outcome: JobOutcome) -> list[Attempt]:
        """Record a job's outcome; the jobs that have ended with it: itself, and if it failed those compared with it."""
        if outcome.busy:
            self._add(job, wait=True)
            return []
        self._close(job)
        ended = _attempt(job, outcome)
        if not ended.error:
            return [ended]
        reason = JobOutcome(error=f"what it is compared with failed: {ended.error}")
        return [ended, *(_attempt(each, reason) for each in self._needed_by[job] if self._drop(each))]

    def lost(self, job: Job, cause: str = "process") -> int:
        """Record that what a job ran on died, its process or its machine; return how often that has happened to it."""
        self._losses[job, cause] += 1
        return self._losses[job, cause]

    def _close(self, job: Job) -> None:
        self._open.discard(job)
        for entry in self._waiting.pop(job, ()):
            heappush(self._to_look_at, entry)

    def _drop(self, job: Job) -> bool:
        """Take a job out of its group; whether it was still in one."""
        for key in ((job.model, False), (job.model, True)):
            if job in self._groups.get(key, ()):
                self._groups[key].remove(job)
                if not self._groups[key]:
                    del self._groups[key]
                self._close(job)
                return True
        return False


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
