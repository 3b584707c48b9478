"""Makes a folder whole or not at all: fills it under another name, and renames it when all is on disk.

The next process that writes to the same place removes the leftovers of a killed one.
"""

from __future__ import annotations

import os
import shutil
import stat
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
    """Yield a new folder to fill; then rename it to `target`, or move its files there if `target` is a folder already.

    Nothing of it is left if anything is raised inside. Raises DiskError with `name`, or the path, where the disk is
    full or refuses.
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
    """Yield a folder to fill that becomes `output`, which must be missing or empty.

    Raises QHarnessError where it holds something, BusyError where another process is filling it.
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
    """Yield a folder to fill whose files replace those of the same names in `output`; wait for other writers first.

    Other files there for which `ours(path)` is true, of an earlier time, are removed. All others stay.
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
    """List a folder's entries, without the leftovers of killed processes."""
    return sorted(set(folder.iterdir()) - set(left_behind(folder)))


def left_behind(target: Path) -> list[Path]:
    """List the unfinished forms of this folder that dead processes left."""
    around = ((target.parent, target.name), (target, _INSIDE))
    return [path for folder, stem in around for path in unfinished(folder) if path.stem == f".{stem}"]


def unfinished(folder: Path) -> list[Path]:
    """List the files and folders that dead processes were writing in a folder: `.NAME.PROCESS`."""
    try:
        hidden = [path for path in folder.iterdir() if path.name.startswith(".") and path.name.count(".") > 1]
    except OSError:
        return []
    return [path for path in hidden if _dead(path.name.rpartition(".")[2])]


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders; ignore those that cannot be removed."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def _dead(process: str) -> bool:
    """Whether this is the number of a process that has ended, or our own, which is only now beginning."""
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


def _let_read(path: Path, folder: Path) -> None:
    """Give a file the rights to be read that the umask leaves a new one, as its folder has them.

    Some libraries write to temporary files of mode 0600, which keep that mode under their final names.
    """
    mode = path.stat().st_mode
    if missing := folder.stat().st_mode & 0o444 & ~mode:
        path.chmod(stat.S_IMODE(mode) | missing)


def _place(scratch: Path, target: Path, there: bool) -> None:
    """Bring all of it to the disk (some file systems report only then that they are full), and move it into place."""
    inside = sorted(scratch.rglob("*"), key=lambda path: (len(path.parts), path))  # top-level files first
    for path in inside:
        if path.is_file():
            _let_read(path, scratch)
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
