"""Worker processes on this machine, each with its share of the GPUs and of the cores."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from qharness.execution.pool import CORES, cores_at_hand
from qharness.study.executors import Watcher
from qharness.study.executors.worker_messages import Died, Moved, Order, Said
from qharness.study.jobs import Attempt, Job, JobOutcome
from qharness.study.schedule import Schedule

_THREADS, _GPUS = "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"
_DEVICE_FILES = ("nvidia[0-9]*", "dxg", "kfd")
_SECONDS_TO_STOP = 5.0


Message = Said | Moved | JobOutcome | Died


@dataclass
class WorkerHandle:
    """The parent's side of a worker, whose process starts with its first job."""

    number: int
    environment: Mapping[str, str]
    inbox: queue.Queue[tuple[WorkerHandle, Message]]
    todo: list[Order] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None
    readers: list[threading.Thread] = field(default_factory=list)

    @property
    def job(self) -> Job:
        """The job that it is doing."""
        return self.todo[0].job

    def begin(self) -> None:
        """Send the first order to the process, and start it if need be."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "qharness.study.executors.worker_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **self.environment},
                start_new_session=True,  # Ctrl-C is for the parent, who passes it on
            )
            self.readers = [
                threading.Thread(target=read, args=(self.process,), daemon=True)
                for read in (self._answers, self._lines)
            ]
            for reader in self.readers:
                reader.start()
        self._send(self.todo[0])

    def _send(self, order: Order | None) -> None:
        assert self.process and self.process.stdin
        with suppress(BrokenPipeError):  # it has died; its end is in the inbox
            pickle.dump(order, self.process.stdin)
            self.process.stdin.flush()

    def _answers(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        try:
            while True:
                self.inbox.put((self, pickle.load(process.stdout)))  # noqa: S301 - from a process of ours
        except (EOFError, pickle.UnpicklingError):  # its end, or half a message
            process.kill()
        self.inbox.put((self, Died(process.wait())))

    def _lines(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr
        for line in process.stderr:
            self.inbox.put((self, Said(line.decode(errors="replace").rstrip())))

    def dismiss(self) -> None:
        """Tell the process to end; if it is at a job, interrupt it, as Ctrl-C would."""
        if self.process and self.todo:
            self.process.send_signal(signal.SIGINT)
        elif self.process:
            self._send(None)

    def stop(self) -> None:
        """Wait until it has ended, and kill it if it goes on."""
        if self.process is None:
            return
        try:
            self.process.wait(_SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for reader in self.readers:
            reader.join(1.0)  # something that it started may hold its standard error open


class Local:
    """An executor of several worker processes: by default as many as there are GPUs, at least one."""

    def __init__(self, workers: int | None = None) -> None:
        gpus = visible_gpus()
        self.workers = workers or max(1, len(gpus))
        self._environments = shares(self.workers, gpus)

    def run(self, schedule: Schedule, watcher: Watcher) -> Generator[Attempt, None, None]:
        """Do the jobs, and yield an attempt for each."""
        inbox: queue.Queue[tuple[WorkerHandle, Message]] = queue.Queue()
        workers = [WorkerHandle(number, each, inbox) for number, each in enumerate(self._environments, 1)]
        try:
            while schedule.open:
                for worker in workers:
                    if not worker.todo and (group := schedule.take()):
                        worker.todo = [Order(job, group.wait) for job in group.jobs]
                        _begin(worker, watcher)
                yield from _handle_message(*inbox.get(), schedule, watcher)
        finally:
            for worker in workers:
                worker.dismiss()
            for worker in workers:
                worker.stop()
        while not inbox.empty():  # last words
            worker, message = inbox.get()
            if isinstance(message, Said):
                watcher.said(message.line, worker.number)


def _begin(worker: WorkerHandle, watcher: Watcher) -> None:
    watcher.began(worker.job)
    worker.begin()


def _handle_message(worker: WorkerHandle, message: Message, schedule: Schedule, watcher: Watcher) -> Iterator[Attempt]:
    """Act on a worker's message; yields the attempts that end with it."""
    match message:
        case Said(line):
            watcher.said(line, worker.number)
            return
        case Moved(what, done, total):
            watcher.moved(worker.job, what, done, total)
            return
        case Died():
            worker.process = None
            if not worker.todo:
                return
            if schedule.lost(worker.job) == 1:
                watcher.said(f"the process of this job died and is tried once more: {worker.job}", worker.number)
                _begin(worker, watcher)
                return
            message = JobOutcome(error=str(message))
    yield from schedule.end(worker.job, message)
    del worker.todo[0]
    if worker.todo:
        _begin(worker, watcher)


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, named as in CUDA_VISIBLE_DEVICES. Imports PyTorch only if there are any."""
    chosen = os.environ.get(_GPUS)
    if chosen is not None:
        return [each.strip() for each in chosen.split(",") if each.strip() not in ("", "-1")]
    if not any(any(Path("/dev").glob(pattern)) for pattern in _DEVICE_FILES):
        return []
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def shares(workers: int, gpus: list[str]) -> list[dict[str, str]]:
    """Each worker's environment: its GPUs (shared, where there are fewer than workers), threads and cores."""
    if workers == 1:
        return [{}]
    cores = cores_at_hand()
    each = max(1, cores // workers)
    common = {CORES: str(each), _THREADS: str(min(each, int(os.environ.get(_THREADS) or each)))}
    mine = [gpus[number::workers] or gpus[number % len(gpus) :][:1] if gpus else [] for number in range(workers)]
    return [{**common, **({_GPUS: ",".join(some)} if some else {})} for some in mine]
