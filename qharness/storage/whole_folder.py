"""The one way a folder becomes whole: it is filled under another name, and takes its place when all is on disk.

What a process leaves that is killed meanwhile is removed by the next one that writes to the same place.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qharness.errors import QHarnessError
from qharness.storage.atomic_writer import sync_folder
from qharness.storage.disk_errors import filling, named
from qharness.storage.locks import writing_to

_INSIDE = "unfinished"


@contextmanager
def whole_folder(target: Path, name: str = "") -> Iterator[Path]:
    """A new folder to fill; at the end it is `target`, or its files are in `target`, where that is a folder already.

    Nothing of it is left if anything is raised inside. Raises DiskError with `name`, or the path, where the disk is
    full or does not let us.
    """
    there = target.is_dir()
    scratch = target / f".{_INSIDE}.{os.getpid()}" if there else target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with named(name or target):
            remove(left_behind(target))
            scratch.mkdir(parents=True)
        with filling(name or target, scratch):
            yield scratch
        with named(name or target):
            _place(scratch, target, there)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def new_folder(output: Path, option: str = "--output") -> Iterator[Path]:
    """A whole folder where there was none, or an empty one.

    Raises QHarnessError for one that holds something, BusyError where another process is filling it.
    """
    name = f"{option} {output}".strip()

    def check() -> None:  # before the lock is taken, and once nobody else writes
        if output.is_symlink() and not output.exists():
            raise QHarnessError(f"{name} is a link to what does not exist: name another folder")
        if output.exists() and (not output.is_dir() or entries(output)):
            raise QHarnessError(f"{name} is there already: name a folder that does not exist, or is empty")

    check()
    with writing_to(output, wait=False):
        check()
        with whole_folder(output, name) as folder:
            yield folder


@contextmanager
def renewed_folder(output: Path, ours: Callable[[Path], bool] = lambda _: False) -> Iterator[Path]:
    """A whole folder whose files replace those of the same names in `output`; other processes' writing is waited for.

    Of what else was there, files that are `ours`, of an earlier time, are removed. All else stays.
    """
    name = f"--output {output}"
    with writing_to(output, wait=True):
        old = {path.relative_to(output) for path in output.rglob("*") if path.is_file() and ours(path)}
        with whole_folder(output, name) as folder:
            yield folder
            old -= {path.relative_to(folder) for path in folder.rglob("*")}
        with named(name):
            for each in old:
                (output / each).unlink(missing_ok=True)


def entries(folder: Path) -> list[Path]:
    """What a folder holds, less what killed processes left in it."""
    return sorted(set(folder.iterdir()) - set(left_behind(folder)))


def left_behind(target: Path) -> list[Path]:
    """What processes that are no more were filling, to make this folder."""
    around = ((target.parent, target.name), (target, _INSIDE))
    return [path for folder, stem in around for path in unfinished(folder) if path.stem == f".{stem}"]


def unfinished(folder: Path) -> list[Path]:
    """What processes that are no more were writing in a folder: `.NAME.PROCESS`, a file or a folder."""
    try:
        hidden = [path for path in folder.iterdir() if path.name.startswith(".") and path.name.count(".") > 1]
    except OSError:
        return []
    return [path for path in hidden if _dead(path.name.rpartition(".")[2])]


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders, as far as that goes."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _dead(process: str) -> bool:
    """Whether that is the number of a process that has ended, or our own, which is only now beginning."""
    if not process.isdecimal():
        return False
    if int(process) == os.getpid():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _place(scratch: Path, target: Path, there: bool) -> None:
    """Have all of it on disk, for some file systems say only then that they are full, and where it belongs."""
    inside = sorted(scratch.rglob("*"), key=lambda path: (len(path.parts), path))  # what a folder is known by first
    for path in inside:
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            sync_folder(path)
    if not there:
        scratch.replace(target)
        sync_folder(target.parent)
        return
    for path in inside:
        place = target / path.relative_to(scratch)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            path.replace(place)
    sync_folder(target)
