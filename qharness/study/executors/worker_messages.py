"""The messages between a parent and its workers, besides the `JobOutcome` of a job that is over."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from qharness.study.jobs import Job


@dataclass(frozen=True)
class Order:
    """A job to do; `wait`: for another process that is at it."""

    job: Job
    wait: bool


@dataclass(frozen=True)
class Moved:
    """A job's progress."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Said:
    """A line that a worker wrote to standard error."""

    line: str


@dataclass(frozen=True)
class Died:
    """A worker's process ended; `status` is negative for a signal."""

    status: int

    def __str__(self) -> str:
        how = f"exit status {self.status}"
        if self.status < 0:
            how = signal.Signals(-self.status).name
        return f"its process died twice ({how}){'; of too little memory?' if self.status == -signal.SIGKILL else ''}"
