"""Remembers where a running study is, for its page, and passes each event on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qharness.results import RunResult
from qharness.storage.json_values import JsonObject
from qharness.study.executors import Watcher
from qharness.study.jobs import Attempt, Job

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"


@dataclass
class _JobState:
    """Where a job is. `work`: what it does now, of which `done` of `total` steps are done; times in seconds."""

    state: str = WAITING
    work: str = ""
    done: int = 0
    total: int = 0
    began: float | None = None
    ended: float | None = None
    result: str = ""

    @property
    def seconds(self) -> float | None:
        """Seconds that the job took, or has taken so far; None where it has not begun, or was done before."""
        if self.began is None:
            return None
        return (time.monotonic() if self.ended is None else self.ended) - self.began


class LiveStudy:
    """A watcher that hands events on to `inner`, and calls `on_result` when a job has left a result."""

    def __init__(self, jobs: Sequence[Job], inner: Watcher, on_result: Callable[[], None]) -> None:
        self._states = {job: _JobState() for job in jobs}
        self._inner, self._on_result = inner, on_result
        self._lock = threading.Lock()

    def began(self, job: Job) -> None:
        """Note that a job was given to a process."""
        with self._lock:
            self._states[job] = _JobState(RUNNING, began=time.monotonic())
        self._inner.began(job)

    def moved(self, job: Job, what: str, done: int, total: int) -> None:
        """Note how far a job is."""
        with self._lock:
            state = self._states[job]
            state.work, state.done, state.total = what, done, total
        self._inner.moved(job, what, done, total)

    def said(self, line: str, worker: int | None = None) -> None:
        """Hand the line on."""
        self._inner.said(line, worker)

    def ended(self, attempt: Attempt) -> None:
        """Note how a job ended."""
        with self._lock:
            state = self._states[attempt.job]
            state.state, state.ended = FAILED if attempt.error else DONE, time.monotonic()
            state.result = attempt.error or _told(attempt.result)
        self._inner.ended(attempt)
        if not attempt.error:
            self._on_result()

    @property
    def rows(self) -> list[JsonObject]:
        """The state of each job, in the study's order."""
        with self._lock:
            return [
                {
                    "model": job.model.model,
                    "quant": job.model.quant,
                    "task": job.label,
                    "seed": job.model.seed,
                    "state": state.state,
                    "work": state.work,
                    "done": state.done,
                    "total": state.total,
                    "seconds": state.seconds,
                    "result": state.result,
                }
                for job, state in self._states.items()
            ]


def _told(result: RunResult | None) -> str:
    """The verdict's class where there is one, and the main metric."""
    if result is None:
        return ""
    record = result.record
    metric = record.main_metric
    value = None if metric is None else record.own_metrics.get(metric.name)
    score = "" if metric is None or value is None else f"{metric.name} {value:.4f}"
    verdict = str(result.document.get("verdict", {}).get("class", ""))
    return ", ".join(each for each in (verdict, score) if each)
