"""The executors of a study's jobs: this process, worker processes, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from qharness.study.jobs import Attempt, Job
from qharness.study.schedule import Schedule


class Watcher(Protocol):
    """Receives the events of a study."""

    def began(self, job: Job) -> None:
        """A job was given to a process."""

    def moved(self, job: Job, what: str, done: int, total: int) -> None:
        """A job has done so many of so many completions, say."""

    def said(self, line: str, worker: int | None = None) -> None:
        """A process wrote a line for the user; `worker` is its number where there are several."""

    def ended(self, attempt: Attempt) -> None:
        """A job is over."""


class Executor(Protocol):
    """Does the jobs of a schedule until none is open, and yields an attempt for each as it ends.

    A process that dies is replaced and its job tried once more; then it has failed, and the rest goes on. A job whose
    machine dies is tried again as often as the executor says. When the iterator is closed, or an exception such as
    Ctrl-C leaves it, nothing goes on running.
    """

    def run(self, schedule: Schedule, watcher: Watcher) -> Generator[Attempt, None, None]:
        """The attempts, in the order in which they end."""
        ...
