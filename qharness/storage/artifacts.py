"""The folders of the cache: whole or not there, under content keys, each with a lock, an age and a document."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from qharness.errors import BusyError, DataError, DiskError
from qharness.progress import note
from qharness.storage.atomic_writer import write_json
from qharness.storage.benchmark_files import cache_path
from qharness.storage.disk_errors import named
from qharness.storage.json_reader import read_json
from qharness.storage.json_values import JsonObject
from qharness.storage.locks import lock_file, locked
from qharness.storage.ownership import close_to_others, make_private, require_ours
from qharness.storage.whole_folder import whole_folder

ABOUT = "about.json"


@dataclass(frozen=True)
class Artifact:
    """One folder of the cache, named by the hash of what decides its content."""

    folder: Path

    @property
    def lock_file(self) -> Path:
        """The lock that a process holds while it makes, reads or removes the folder."""
        return lock_file(self.folder.parent.name, self.folder.name)

    def locked(self, what: str, *, wait: bool = True) -> AbstractContextManager[None]:
        """Hold the lock; see `locks.locked`."""
        return locked(self.lock_file, what, wait=wait)

    @property
    def there(self) -> bool:
        """Whether the folder has been made."""
        return (self.folder / ABOUT).is_file()

    def about(self) -> JsonObject:
        """Read its document; raise DataError if it is missing or damaged, CacheError if others can change it."""
        require_ours(self.folder, inside=True)
        found = read_json(self.folder / ABOUT, DataError)
        if not isinstance(found, dict):
            raise DataError(f"{self.folder / ABOUT} is no object")
        return found

    @contextmanager
    def writing(self, about: Mapping[str, object]) -> Iterator[Path]:
        """Yield a folder to fill, which then becomes this one. Raises DiskError where the disk is full or refuses."""
        require_ours(self.folder.parent)
        with suppress(OSError):
            make_private(self.folder.parent)
        shutil.rmtree(self.folder, ignore_errors=True)  # one that is damaged, or of an older version
        with whole_folder(self.folder) as scratch:
            yield scratch
            write_json(scratch / ABOUT, about)
            close_to_others(scratch)

    def damaged(self, why: str) -> None:
        """Note that the folder cannot be read; whatever is made next replaces it."""
        note(f"{self.folder} cannot be read and is made again: {why}")

    def use(self) -> None:
        """Set the time of last use to now."""
        os.utime(self.folder / ABOUT)

    @property
    def last_used(self) -> float:
        """The time at which it was made or read last, in seconds since the epoch."""
        about = self.folder / ABOUT
        return (about if about.is_file() else self.folder).stat().st_mtime

    def remove(self) -> bool:
        """Remove it, unless a process makes or reads it; return whether it is gone."""
        try:
            with self.locked(self.folder.name, wait=False):
                shutil.rmtree(self.folder, ignore_errors=True)
        except BusyError:
            return False
        return True


def cached_folder(kind: str, key: str, fill: Callable[[Path], None]) -> Path:
    """Return the cache's folder of that kind and key; where it is missing, `fill` writes into it.

    Programs in the sandbox can read it, whoever they run as. Raises CacheError where others can change it, DiskError
    where it cannot be written.
    """
    folder = cache_path(kind, key, inside=True)
    if not folder.is_dir():
        try:
            with whole_folder(folder) as scratch:  # which names errors of writing; `fill` has errors of its own
                fill(scratch)
                with named(folder):
                    for each, *_ in os.walk(scratch):
                        Path(each).chmod(0o755)
        except DiskError:
            if not folder.is_dir():  # else another process was faster
                raise
    return folder
