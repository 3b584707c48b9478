"""Locks between processes: each is a file that its holder locks. A process that dies releases its locks."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol

from qharness.errors import BusyError
from qharness.progress import note
from qharness.scoped_value import scoped
from qharness.storage.benchmark_files import cache_path
from qharness.storage.ownership import make_private

_POLL_S = 0.2


class Claim(Protocol):
    """Holds a result's folder or file against other machines, as `locked` does against other processes."""

    def __call__(self, path: Path, *, wait: bool) -> AbstractContextManager[object]:
        """Return what holds it while it is entered; what the others made of it is there then."""
        ...


_claim: ContextVar[Claim | None] = ContextVar("claim", default=None)


def claims_through(claim: Claim) -> AbstractContextManager[None]:
    """Let `claimed_elsewhere` hold results by `claim` inside."""
    return scoped(_claim, claim)


def claimed_elsewhere(path: Path, *, wait: bool) -> AbstractContextManager[object]:
    """Hold a result against the machines that share its storage; nothing where it is stored on this machine only.

    The caller holds the lock against other processes of this machine. `wait` as in `locked`.
    """
    claim = _claim.get()
    return nullcontext() if claim is None else claim(path, wait=wait)


def lock_file(kind: str, key: str) -> Path:
    """Return the path of a lock in the cache folder; the file may stay behind."""
    folder = cache_path("locks")
    make_private(folder)
    return folder / f"{kind}-{key}"


@contextmanager
def writing_to(output: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock of an output path against other processes of this machine; `wait` as in `locked`.

    Where the cache folder cannot be written, there is no lock, and other processes can write too.
    """
    key = hashlib.sha256(os.fsencode(output.resolve())).hexdigest()[:16]
    try:
        path = lock_file("output", key)
        path.touch()
    except OSError:
        yield
        return
    with locked(path, str(output), wait=wait):
        yield


@contextmanager
def locked(path: Path, what: str, *, wait: bool = True) -> Iterator[None]:
    """Hold a file's lock. While another process holds it, wait, with one note that names it, or raise BusyError.

    `what`: the thing that is made under the lock, as that note names it. The file's folder must exist; the file stays.
    """
    from filelock import FileLock, Timeout  # late, for `qharness --help`

    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        held = f"{what} is being made by {_holder(path)}"
        if not wait:
            raise BusyError(held) from None
        note(f"{held}: waiting for it")
        lock.acquire(poll_interval=_POLL_S)
    try:
        with suppress(OSError):  # a lock without a name on it holds as well
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") or "another process"
    except (OSError, UnicodeDecodeError):
        return "another process"
