"""Writes files whole or not at all, and appends to files so that what was appended before is never lost."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from qharness.storage.disk_errors import named
from qharness.storage.json_values import json_text, without_lone_surrogates
from qharness.visible_text import visible_lines


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a name to write a file under, which then takes the place of `path`, on disk; an OSError names `path`."""
    scratch = path.with_name(f".{path.name[:100]}.{os.getpid()}")
    try:
        yield scratch
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(scratch)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        scratch.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file to disk whole, or leave it as it was. Raises DiskError, which names it."""
    with named(path), whole_file(path) as scratch:
        scratch.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8 as `write_bytes` does; lone surrogates and control characters but line feeds as escapes."""
    write_bytes(path, visible_lines(without_lone_surrogates(text)).encode("utf-8"))


def write_json(path: Path, document: object) -> None:
    """Write one JSON document."""
    write_text(path, json_text(document, indent=2) + "\n")


def write_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write JSON lines."""
    write_text(path, "".join(json_text(row) + "\n" for row in rows))


def append_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Add JSON lines to a file and to the disk; cut off a torn last line first.

    Raises DiskError, which names the file. It may then end in a torn line.
    """
    lines = "".join(json_text(row) + "\n" for row in rows).encode("utf-8")
    with named(path), path.open("a+b") as file:
        file.truncate(_end_of_whole_lines(file.seek(0, os.SEEK_END), path))
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def _end_of_whole_lines(size: int, path: Path) -> int:
    """Return the position after a file's last line end, in bytes."""
    block = 1 << 16
    with path.open("rb") as file:
        for start in range((size - 1) // block * block, -1, -block):
            file.seek(start)
            if (place := file.read(block).rfind(b"\n")) >= 0:
                return start + place + 1
    return 0


def sync_folder(folder: Path) -> None:
    """Bring a folder's new names to the disk, where the system can do that."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
