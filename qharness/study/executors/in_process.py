"""Does one job after another in this process: for Python programs, and to debug. A crash ends them all."""

from __future__ import annotations

from collections.abc import Generator

from qharness.study.executors import Watcher
from qharness.study.jobs import Attempt, Memory, perform
from qharness.study.schedule import Schedule


class InProcess:
    """The executor that starts no process."""

    def run(self, schedule: Schedule, watcher: Watcher) -> Generator[Attempt, None, None]:
        """Do the jobs, and yield an attempt for each."""
        memory = Memory()
        while group := schedule.take():
            for job in group.jobs:
                watcher.began(job)
                yield from schedule.end(job, perform(job, memory, wait=group.wait))
