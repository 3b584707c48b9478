"""A study's schedule on a large cluster, simulated: workers die and come back, and what they were at is begun again.

    python benchmarks/scheduling.py [--jobs 10000] [--workers 100] [--tasks 4] [--hours 0.5]

The schedule is the real one, and so is what a lost worker does to a job (`qharness/study/executors/ray.py`); time is
simulated. Full precision and its quantizations, each on a number of tasks. A job takes an exponentially distributed
time of `--hours` on average, a model six minutes to load, and a worker that died is back after ten. What a job had made
when its worker died is lost, which is the worst case: a run goes on from its journal.

A line for each mean time to a worker's death: how long the study took beside the work divided by the workers, what was
lost, how many jobs failed, and the processor's seconds that the schedule took.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

from qharness import RunSpec, run
from qharness.study.executors import Watcher
from qharness.study.executors.ray import NODE_RETRIES
from qharness.study.jobs import Attempt, Job, JobOutcome, with_baselines
from qharness.study.schedule import Group, Schedule
from qharness.study.sweep import carry_out

LOAD_HOURS, REPAIR_HOURS = 0.1, 1 / 6


class Silent:
    """A watcher that shows nothing."""

    def began(self, job: Job) -> None: ...
    def moved(self, job: Job, what: str, done: int, total: int) -> None: ...
    def said(self, line: str, worker: int | None = None) -> None: ...
    def ended(self, attempt: Attempt) -> None: ...


@dataclass
class Simulated:
    """An executor whose workers take simulated hours. `death_hours`: a worker's mean time to its death, or 0."""

    workers: int
    job_hours: float
    death_hours: float
    outcome: JobOutcome
    random: random.Random
    now: float = 0.0
    worked: float = 0.0
    deaths: int = 0

    def run(self, schedule: Schedule, watcher: Watcher) -> Generator[Attempt, None, None]:
        """Give groups to workers in turn, and go from one event to the next: a worker is free, or done, or dead."""
        numbers = count()
        events: list[tuple[float, int, _Event]] = []
        waiting: deque[Group] = deque()
        for _ in range(self.workers):
            heappush(events, (0.0, next(numbers), _Event()))
        idle = 0
        while schedule.open:
            while group := schedule.take():
                waiting.append(group)
            while idle and waiting:
                idle -= 1
                for when, event in self._days(waiting.popleft().jobs):
                    heappush(events, (when, next(numbers), event))
            self.now, _, event = heappop(events)
            if not event.jobs:
                idle += 1
            elif event.died:
                self.deaths += 1
                loss = schedule.lost(event.jobs[0], "node")
                left = event.jobs
                if loss > NODE_RETRIES:
                    yield from schedule.end(left[0], JobOutcome(error=f"the node died {loss} times"))
                    left = left[1:]
                if left:
                    waiting.append(Group(left, wait=False))
            else:
                yield from schedule.end(event.jobs[0], self.outcome)

    def _days(self, jobs: list[Job]) -> Iterator[tuple[float, _Event]]:
        """The events of a worker that begins a group now: each job's end, or its death, and when it is free again."""
        now = self.now + LOAD_HOURS
        death = self.now + self.random.expovariate(1 / self.death_hours) if self.death_hours else float("inf")
        for number in range(len(jobs)):
            hours = self.random.expovariate(1 / self.job_hours)
            if now + hours > death:
                yield death, _Event(jobs[number:], died=True)
                yield death + REPAIR_HOURS, _Event()
                return
            now, self.worked = now + hours, self.worked + hours
            yield now, _Event(jobs[number:])
        yield now, _Event()


@dataclass(frozen=True)
class _Event:
    """What happens at a time: the first of `jobs` ends, or its worker dies; without jobs a worker is free."""

    jobs: list[Job] = field(default_factory=list)
    died: bool = False


def jobs_of(number: int, tasks: int, output: Path) -> list[Job]:
    """Jobs of full precision and enough quantizations of it, each on every task."""
    quants = [f"rtn:{bits},group={size}" for size in range(1, number) for bits in (2, 3, 4, 8)]
    specs = [
        RunSpec(f"task-{task}", quant=quant, output=output)
        for quant in ["none", *quants[: number // tasks - 1]]
        for task in range(tasks)
    ]
    return [Job(spec) for spec in with_baselines(specs)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--hours", type=float, default=0.5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = run(RunSpec("tiny-python", samples=1, limit=1, max_new_tokens=20, output=Path(folder)))
        jobs = jobs_of(arguments.jobs, arguments.tasks, Path(folder) / "runs")
        print(f"{len(jobs)} jobs, {arguments.workers} workers")
        for death_hours in (0, 100, 24, 6, 1):
            outcome, seeded = JobOutcome(path=made.folder), random.Random(0)
            simulated = Simulated(arguments.workers, arguments.hours, death_hours, outcome, seeded)
            began = time.process_time()
            attempts = carry_out(jobs, simulated, Silent())
            seconds = time.process_time() - began
            failed = sum(bool(attempt.error) for attempt in attempts)
            ideal = simulated.worked / arguments.workers
            dies = f"a worker dies after {death_hours} h" if death_hours else "no worker dies"
            print(f"{dies}: {simulated.now:.1f} h, {simulated.now / ideal:.2f} times the work")
            print(f"  {simulated.deaths} deaths, {failed} jobs failed; {seconds:.1f} s of the processor")


if __name__ == "__main__":
    main()
