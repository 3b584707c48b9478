"""Workers of one batch of programs, or of all batches of a command."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from qharness.api.languages import Language, Limits, Toolchain
from qharness.execution.sandbox import Isolation
from qharness.execution.worker import SandboxWorker
from qharness.scoped_value import scoped

_MOST_THREADS = 1024  # as many are started as are busy at a time


@dataclass(frozen=True)
class WorkerKind:
    """What a worker is for: programs of a language, run by a toolchain under limits in an isolation."""

    language: Language
    toolchain: Toolchain
    limits: Limits
    isolation: Isolation


class Workers:
    """Workers by kind and number, started when they are needed. Numbers 2n and 2n + 1 of a kind are partners.

    They are used by threads of `threads`, which stay as long: the system ends a sandbox with the thread that began it.
    """

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(_MOST_THREADS)
        self._started: list[tuple[WorkerKind, int, SandboxWorker]] = []
        self._killed = False
        self._lock = threading.Lock()

    def worker(self, kind: WorkerKind, number: int) -> SandboxWorker:
        """Return the worker of that kind and number; any thread may call this."""
        with self._lock:
            of_kind = {at: worker for other, at, worker in self._started if other == kind}
            if number not in of_kind:
                partner = next((worker for at, worker in of_kind.items() if at // 2 == number // 2), None)
                of_kind[number] = SandboxWorker(
                    kind.language, kind.isolation, kind.limits, partner=partner, toolchain=kind.toolchain
                )
                self._started.append((kind, number, of_kind[number]))
                if self._killed:
                    of_kind[number].kill()
            return of_kind[number]

    def keep_only(self, kinds: Collection[WorkerKind]) -> None:
        """End the workers of all other kinds."""
        others = [worker for kind, _, worker in self._started if kind not in kinds]
        self._started = [each for each in self._started if each[0] in kinds]
        for worker in others:
            worker.close()

    def kill(self) -> None:
        """Stop the programs that run, and those that threads begin before `close`, which is to follow."""
        with self._lock:
            self._killed = True
            for _, _, worker in self._started:
                worker.kill()

    def close(self) -> None:
        """End all threads, after what they run, and all workers; later ones are started anew."""
        self.threads.shutdown(cancel_futures=True)
        self.keep_only(())
        self._killed, self.threads = False, ThreadPoolExecutor(_MOST_THREADS)


_kept: ContextVar[Workers | None] = ContextVar("kept_workers", default=None)


@contextmanager
def keeping_workers() -> Iterator[None]:
    """Let the batches inside, in this thread, use the workers of the one before, which are slow at first."""
    workers = Workers()
    with scoped(_kept, workers):
        try:
            yield
        finally:
            workers.close()


def kept_workers() -> Workers | None:
    """Return the workers that are kept for this thread's batches, if any are."""
    return _kept.get()
