"""A study's results in storage that fsspec reaches: the study works in a local folder, which is synchronized."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qharness.errors import MissingDependencyError, QHarnessError, first_line
from qharness.evaluate.run.run_folder import JOURNAL, RUN
from qharness.progress import note
from qharness.storage.atomic_writer import whole_file
from qharness.storage.benchmark_files import cache_path

_SECONDS_BETWEEN_JOURNALS = 30.0


def remote_of(output: str) -> Remote | None:
    """Return the storage that a URL names, or None for a plain path.

    Raises QHarnessError if it cannot be reached, or lies in a bucket that does not exist.
    """
    if "://" not in output:
        return None
    remote = Remote(output.rstrip("/"))
    if not remote.names():
        remote.require_bucket()
    return remote


@dataclass(frozen=True)
class Remote:
    """A folder of run folders at a URL. Each run.json is sent last, so a run there is complete if it has one."""

    url: str

    @property
    def folder(self) -> Path:
        """Return the local folder in which this machine works."""
        return cache_path("studies", hashlib.sha256(self.url.encode()).hexdigest()[:16])

    @property
    def _files(self) -> tuple[Any, str]:
        """Return the file system, and the folder's path in it."""
        import fsspec

        try:
            found: tuple[Any, str] = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            raise MissingDependencyError(f"what reaches {self.url}", f"pip install it ({first_line(error)})") from None
        except ValueError as error:
            raise QHarnessError(f"{self.url}: {first_line(error)}") from None
        return found

    def names(self) -> list[str]:
        """List the storage's run folders. Raises QHarnessError if the storage does not answer."""
        files, root = self._files
        try:
            found = files.ls(root, detail=True)
        except FileNotFoundError:
            return []
        except Exception as error:  # each storage has errors of its own
            raise QHarnessError(f"{self.url} cannot be read: {first_line(error)}") from None
        return [entry["name"].rstrip("/").rsplit("/", 1)[-1] for entry in found if entry["type"] == "directory"]

    def require_bucket(self) -> None:
        """Raise QHarnessError if the folder's bucket does not exist: fsspec would create it, whoever's name it is.

        In object storage the bucket is the path's first part; a path that begins at a root has none.
        """
        files, root = self._files
        bucket = root.partition("/")[0]
        if bucket and "://" not in root and not files.exists(bucket):
            raise QHarnessError(f"{self.url}: there is no bucket {bucket!r}: correct its name, or create it first")

    def run_folders(self) -> list[Path]:
        """Download everything and return the local copies of the storage's run folders."""
        names = self.names()
        self.fetch(*names)
        return [self.folder / name for name in names]

    def fetch(self, *names: str) -> None:
        """Download run folders, by default all: complete runs, and longer journals of others, which are resumed.

        Of a folder of measurements, the files that are not here are downloaded. A run that is complete here stays.
        """
        files, root = self._files
        for name in names or self.names():
            here, there = self.folder / name, f"{root}/{name}"
            if (here / RUN).is_file():
                continue
            found = {entry["name"].rsplit("/", 1)[-1]: entry["size"] for entry in files.ls(there, detail=True)}
            journal = here / JOURNAL
            if RUN not in found and JOURNAL not in found:  # a folder of measurements, not of a run
                found = {file: size for file, size in found.items() if not (here / file).exists()}
            elif RUN not in found and found[JOURNAL] <= (journal.stat().st_size if journal.exists() else 0):
                continue
            here.mkdir(parents=True, exist_ok=True)
            for file in sorted(found, key=lambda file: file == RUN):
                with whole_file(here / file) as scratch:
                    files.get_file(f"{there}/{file}", str(scratch))

    def send(self, path: Path) -> None:
        """Upload a file of the local folder, or a run's files, run.json last.

        A run whose run.json is there with the same bytes is not sent again; a comparison may have changed it.
        """
        files, root = self._files
        inside = [file for file in path.iterdir() if file.name[0] != "."] if path.is_dir() else [path]
        if path / RUN in inside and self._content(path / RUN) == (path / RUN).read_bytes():
            return
        for file in sorted(inside, key=lambda file: file.name == RUN):
            there = f"{root}/{file.relative_to(self.folder).as_posix()}"
            files.makedirs(there.rsplit("/", 1)[0], exist_ok=True)
            files.put_file(str(file), there)

    def _content(self, path: Path) -> bytes | None:
        files, root = self._files
        try:
            content: bytes = files.cat_file(f"{root}/{path.relative_to(self.folder).as_posix()}")
        except FileNotFoundError:
            return None
        return content

    @contextmanager
    def synchronized(self) -> Iterator[Path]:
        """Download everything and yield the local folder; upload what changes in it, journals every 30 seconds."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.fetch()
        before = self._stamps()
        over = threading.Event()
        sender = threading.Thread(target=self._send_journals, args=(over, dict(before)), daemon=True)
        sender.start()
        try:
            yield self.folder
        finally:
            over.set()
            sender.join()
            self._send_changed(before)

    def _stamps(self) -> dict[Path, tuple[int, int]]:
        """Return each file with its size and time of change."""
        found = [path for path in self.folder.rglob("*") if path.is_file() and path.name[0] != "."]
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}

    def _send_changed(self, before: dict[Path, tuple[int, int]]) -> None:
        changed = {path for path, stamp in self._stamps().items() if before.get(path) != stamp}
        for path in sorted({path if path.parent == self.folder else path.parent for path in changed}):
            self.send(path)

    def _send_journals(self, over: threading.Event, sent: dict[Path, tuple[int, int]]) -> None:
        while not over.wait(_SECONDS_BETWEEN_JOURNALS):
            for path, stamp in self._stamps().items():
                if path.name == JOURNAL and sent.get(path) != stamp:
                    try:
                        self.send(path)
                        sent[path] = stamp
                    except Exception as error:  # a storage that fails now may not when the run ends
                        note(f"the journal could not be sent to {self.url}: {first_line(error)}")
