"""Hashes that tell whether something has changed: of files by their names, sizes and times, or by their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_DIGITS = 32
_PACKAGES = ("qharness", "lm_eval", "torch", "transformers", "datasets", "numpy", "scipy")


def hash_of(*parts: object) -> str:
    """A hash of the parts' texts, 32 hexadecimal digits."""
    return hashlib.sha256("\n".join(map(str, parts)).encode("utf-8", "backslashreplace")).hexdigest()[:_DIGITS]


def stat_hash(paths: Iterable[Path]) -> str:
    """A hash of files' paths, sizes and times of change, in their order; a file that is missing counts as such."""
    return hash_of(*map(_stat, paths))


def _stat(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return f"{path} is missing"
    return f"{path} {found.st_size} {found.st_mtime_ns}"


def content_hash(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sources_below(folder: Path, *endings: str) -> list[Path]:
    """The files below a folder whose names end so, by default in `.py`, sorted by folder and name."""
    found = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        found += [Path(place, name) for name in sorted(names) if name.endswith(endings or (".py",))]
    return found


@cache
def program_hash() -> str:
    """A hash of qharness's own Python files, by size and time, and of the versions of the packages it rests on."""
    return hash_of(stat_hash(sources_below(Path(__file__).parents[1])), *map(_version, _PACKAGES))


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} is missing"
