"""Quantized models on disk, the limit of their size, and the removal of old ones. Light, for `qharness cache`."""

from __future__ import annotations

import os
from pathlib import Path

from qharness.errors import QHarnessError
from qharness.storage.artifacts import Artifact
from qharness.storage.benchmark_files import cache_path

LIMIT = "QHARNESS_CACHE_GB"
DEFAULT_LIMIT_GB = 50.0


def quantized_dir() -> Path:
    """The folder of cached quantized models."""
    return cache_path("quantized")


def quantized(key: str) -> Artifact:
    """The cache's entry under that key, whether it is there or not."""
    return Artifact(quantized_dir() / key)


def limit_bytes() -> float:
    """The bytes that all of them may take together. Raises QHarnessError for a limit that is no number."""
    text = os.environ.get(LIMIT) or str(DEFAULT_LIMIT_GB)
    try:
        limit = float(text) * 1e9
    except ValueError:
        limit = -1.0
    if not limit >= 0:
        raise QHarnessError(f"{LIMIT} must be a number of gigabytes, not {text!r}")
    return limit


def bytes_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def make_room(limit: float, newest: str) -> None:
    """Remove the least recently used models until all take `limit` bytes at most; `newest` goes last."""
    there = [found for found in map(Artifact, quantized_dir().glob("[!.]*")) if found.there]
    sizes = {found: bytes_of(found.folder) for found in there}
    total = sum(sizes.values())
    for found in sorted(sizes, key=lambda found: (found.folder.name == newest, found.last_used)):
        if total <= limit:
            return
        if found.remove():
            total -= sizes[found]
