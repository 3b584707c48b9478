"""Locks between processes: each is a file that its holder keeps locked. A process that dies lets go of its locks."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qharness.errors import BusyError
from qharness.progress import note
from qharness.storage.benchmark_files import cache_path
from qharness.storage.ownership import make_private

_POLL_S = 0.2


def lock_file(kind: str, key: str) -> Path:
    """A lock in the cache folder, where it may stay behind."""
    folder = cache_path("locks")
    make_private(folder)
    return folder / f"{kind}-{key}"


@contextmanager
def writing_to(output: Path, *, wait: bool) -> Iterator[None]:
    """Keep other processes of this machine from writing to the same place, as `locked` does.

    Where no lock can be made, in a cache folder that is not writable, nobody is kept from it.
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
    """Hold the lock of that file. While another process holds it: wait, with one note of who it is, or raise BusyError.

    `what` is made under this lock, in the words of the note. The file's folder must exist; the file stays behind.
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
