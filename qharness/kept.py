"""Quantized models on disk: how many there may be, and which have to go. Light, for `qharness cache`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from qharness.data import cache_dir
from qharness.errors import BusyError, QHarnessError
from qharness.storage.locks import locked

LIMIT = "QHARNESS_CACHE_GB"
DEFAULT_LIMIT_GB = 50.0
ABOUT = "about.json"


def quantized_dir() -> Path:
    """Where quantized models are kept."""
    return cache_dir() / "quantized"


def kept_lock(key: str) -> Path:
    """The lock of the model that is kept, or would be, under that key."""
    folder = cache_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"quantized-{key}"


def limit_bytes() -> float:
    """What all of them may take together. Raises QHarnessError for a limit that is no number."""
    text = os.environ.get(LIMIT) or str(DEFAULT_LIMIT_GB)
    try:
        limit = float(text) * 1e9
    except ValueError:
        limit = -1.0
    if not limit >= 0:
        raise QHarnessError(f"{LIMIT} must be a number of gigabytes, not {text!r}")
    return limit


def bytes_of(path: Path) -> int:
    """What a file, or all files of a folder, take."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def last_used(entry: Path) -> float:
    """When something that is kept was made or read last, in seconds since the epoch."""
    about = entry / ABOUT
    return (about if about.is_file() else entry).stat().st_mtime


def remove(entry: Path) -> bool:
    """Remove a kept model, unless a process makes or reads it; whether it is gone."""
    try:
        with locked(kept_lock(entry.name), entry.name, wait=False):
            shutil.rmtree(entry, ignore_errors=True)
    except BusyError:
        return False
    return True


def make_room(limit: float, newest: str) -> None:
    """Remove what was not used for longest until all take `limit` bytes at most; `newest` goes last."""
    entries = {entry: bytes_of(entry) for entry in quantized_dir().glob("*") if (entry / ABOUT).is_file()}
    total = sum(entries.values())
    for entry in sorted(entries, key=lambda entry: (entry.name == newest, last_used(entry))):
        if total <= limit:
            return
        if remove(entry):
            total -= entries[entry]
