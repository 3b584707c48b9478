"""Logs finished runs to a tracker. A tracker that fails loses no run and says so once."""

from __future__ import annotations

import math
import queue
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

from qharness.errors import first_line
from qharness.progress import note
from qharness.results import RunRecord, RunResult
from qharness.study.executors import Watcher
from qharness.study.trackers import TRACKERS, TrackedRun

if TYPE_CHECKING:
    from qharness.study.jobs import Attempt, Job

_PARAMETERS = (
    *("model", "quant", "calib", "task", "samples", "temperature", "top_p", "max_new_tokens", "limit", "seed"),
    *("device", "dtype", "backend", "chat"),
)
_SEED = 0  # of the bootstrap


def tracked_run(result: RunResult) -> TrackedRun:
    """A finished run as trackers take it."""
    from qharness.evaluate.run.run_folder import RUN
    from qharness.evaluate.run.run_listing import key_of

    record, folder = result.record, result.folder
    spec = record.spec
    values = {name: getattr(spec, name) for name in _PARAMETERS}
    verdict = record.verdict
    loss = {} if verdict is None else {"loss": verdict.loss.estimate, "loss_upper95": verdict.loss.upper95}
    found = {
        **record.own_metrics,
        **_interval(result),
        **loss,
        "storage_bytes": record.hosting.storage_bytes,
        "weight_bytes": record.hosting.weight_bytes,
        "generation_s": record.timings.generation_s,
        "total_s": record.timings.total_s,
    }
    metrics = {_plain(name): float(value) for name, value in found.items() if value is not None}
    return TrackedRun(
        name=f"{spec.quant} on {spec.task}",
        key=key_of(folder.name),
        parameters={name: value for name, value in values.items() if value is not None},
        metrics={name: value for name, value in metrics.items() if math.isfinite(value)},
        tags={} if verdict is None else {"verdict": str(verdict.class_), "verdict_sentence": verdict.sentence},
        document=folder / RUN,
    )


def _interval(result: RunResult) -> dict[str, float]:
    """The 95% interval of pass@1 by problem; empty for a run that runs no programs."""
    import numpy as np

    from qharness.evaluate.run.run_folder import SAMPLES
    from qharness.results.paired_results import PASS_RATE
    from qharness.stats.intervals import pass_at_k_interval
    from qharness.stats.pairing import by_problem, passes, read_rows

    record: RunRecord = result.record
    if PASS_RATE not in record.own_metrics or not (result.folder / SAMPLES).is_file():
        return {}
    passed = [passes(rows) for rows in by_problem(read_rows(result.folder)).values()]
    found = pass_at_k_interval(passed, 1, np.random.default_rng(_SEED))
    return {f"{PASS_RATE}_low95": found.low, f"{PASS_RATE}_high95": found.high}


def _plain(name: str) -> str:
    """A name of letters, digits and underscores: `pass@1` becomes `pass_at_1`."""
    return re.sub(r"\W", "_", name.replace("@", "_at_"), flags=re.ASCII)


class Tracking:
    """Logs runs to one tracker until it fails; what it prints goes to standard error."""

    def __init__(self, name: str) -> None:
        self._name, self._failed = name, False

    def log(self, result: RunResult) -> None:
        """Log a run. An error is noted, once, and no run is logged after it."""
        if self._failed:
            return
        try:
            with redirect_stdout(sys.stderr):
                TRACKERS[self._name].log(tracked_run(result))
        except Exception as error:  # a server, an account, a disk: the run is whole whatever happens
            self._failed = True
            said = f"{type(error).__name__}: {first_line(error)}"
            note(f"note: {self._name} takes no runs: {said}; the runs are whole, and the same command logs them later")


def track_runs(name: str, results: list[RunResult]) -> None:
    """Log runs, each after the one that it was compared with."""
    tracking = Tracking(name)
    for result in results:
        for each in (result.baseline, result):
            if each is not None:
                tracking.log(each)


class TrackedStudy:
    """A watcher that hands events on to `inner`, and each finished run to `take`."""

    def __init__(self, inner: Watcher, take: Callable[[RunResult], None]) -> None:
        self._inner, self._take = inner, take

    def began(self, job: Job) -> None:
        """Hand it on."""
        self._inner.began(job)

    def moved(self, job: Job, what: str, done: int, total: int) -> None:
        """Hand it on."""
        self._inner.moved(job, what, done, total)

    def said(self, line: str, worker: int | None = None) -> None:
        """Hand it on."""
        self._inner.said(line, worker)

    def ended(self, attempt: Attempt) -> None:
        """Hand it on, and take its run."""
        self._inner.ended(attempt)
        if attempt.result is not None:
            self._take(attempt.result)


@contextmanager
def tracked_study(name: str | None, inner: Watcher) -> Iterator[Watcher]:
    """A watcher that has runs logged by a thread of its own, while the study goes on; at its end they are waited for.

    Without a name, the watcher itself. An exception, such as Ctrl-C, waits for nothing.
    """
    if name is None:
        yield inner
        return
    runs: queue.SimpleQueue[RunResult | None] = queue.SimpleQueue()
    tracking = Tracking(name)

    def work() -> None:
        while (result := runs.get()) is not None:
            tracking.log(result)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield TrackedStudy(inner, runs.put)
    runs.put(None)
    thread.join()
