"""A study's results in storage that fsspec reaches: the study works in a local folder, which is synchronized."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from qharness.errors import first_line
from qharness.evaluate.run.run_folder import JOURNAL, RUN
from qharness.progress import note
from qharness.storage.atomic_writer import whole_file, write_text
from qharness.storage.benchmark_files import cache_path
from qharness.storage.leases import Lease, leased
from qharness.storage.locks import claims_through
from qharness.storage.object_store import ObjectStore

_SECONDS_BETWEEN_JOURNALS = 30.0
_LEASE = ".lease"
_MACHINE = ".machine"


def remote_of(output: str) -> Remote | None:
    """Return the storage that a URL names, or None for a plain path.

    Raises QHarnessError if it cannot be reached, or lies in a bucket that does not exist.
    """
    if "://" not in output:
        return None
    remote = Remote(output.rstrip("/"))
    remote.store.check()
    return remote


@dataclass(frozen=True)
class Remote:
    """A folder of run folders at a URL. Each run.json is sent last, so a run there is complete if it has one."""

    url: str

    @property
    def store(self) -> ObjectStore:
        """Return the storage."""
        return ObjectStore(self.url)

    @property
    def folder(self) -> Path:
        """Return the local folder in which this machine works."""
        return cache_path("studies", hashlib.sha256(self.url.encode()).hexdigest()[:16])

    def run_folders(self) -> list[Path]:
        """Download everything and return the local copies of the storage's run folders."""
        names = self.store.folders()
        self.fetch(*names)
        return [self.folder / name for name in names]

    def fetch(self, *names: str) -> None:
        """Download run folders, by default all: complete runs, and longer journals of others, which are resumed.

        Of a folder of measurements, the files that are not here are downloaded. A run that is complete here stays.
        """
        for name in names or self.store.folders():
            here = self.folder / name
            if (here / RUN).is_file():
                continue
            found = self.store.sizes(name)
            journal = here / JOURNAL
            if RUN not in found and JOURNAL not in found:  # a folder of measurements, not of a run
                found = {file: size for file, size in found.items() if not (here / file).exists()}
            elif RUN not in found and found[JOURNAL] <= (journal.stat().st_size if journal.exists() else 0):
                continue
            here.mkdir(parents=True, exist_ok=True)
            for file in sorted(found, key=lambda file: file == RUN):
                with whole_file(here / file) as scratch:
                    self.store.download(f"{name}/{file}", scratch)

    def send(self, path: Path) -> None:
        """Upload a file of the local folder, or a run's files, run.json last; nothing where it does not exist.

        A run whose run.json is there with the same bytes is not sent again; a comparison may have changed it.
        """
        if not path.exists():
            return
        inside = [file for file in path.iterdir() if file.name[0] != "."] if path.is_dir() else [path]
        if path / RUN in inside and self.store.read(self._there(path / RUN)) == (path / RUN).read_bytes():
            return
        for file in sorted(inside, key=lambda file: file.name == RUN):
            self.store.upload(file, self._there(file))

    def _there(self, path: Path) -> str:
        """Return the path in the storage of a file of the local folder."""
        return path.relative_to(self.folder).as_posix()

    @contextmanager
    def synchronized(self) -> Iterator[Path]:
        """Download everything and yield the local folder; what is made in it is claimed in the storage, and sent."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.fetch()
        with claims_through(self._claimed):
            yield self.folder

    @contextmanager
    def _claimed(self, path: Path, *, wait: bool) -> Iterator[None]:
        """Hold the lease of a run's folder, or of a measurement's file, download what is there, and send what is made.

        A run's journal is sent every 30 seconds, and when the run is interrupted.
        """
        run = path.is_dir()
        beside = f"{self._there(path)}/{_LEASE}" if run else self._there(path.with_name(f".{path.name}{_LEASE}"))
        with leased(self.store, beside, f"{self.url}/{self._there(path)}", self._machine(), wait=wait) as lease:
            self.fetch(path.relative_to(self.folder).parts[0])
            try:
                with self._sending_journal(path / JOURNAL, lease):
                    yield
            except BaseException:
                if not lease.lost:
                    self._try_to_send(path)
                raise
            self.send(path)

    @contextmanager
    def _sending_journal(self, journal: Path, lease: Lease) -> Iterator[None]:
        """Send a journal every 30 seconds if it has grown, as long as the lease is held."""
        over = threading.Event()

        def work(sent: int) -> None:
            while not over.wait(_SECONDS_BETWEEN_JOURNALS) and not lease.lost:
                size = _size(journal)
                if size != sent and self._try_to_send(journal):
                    sent = size

        sender = threading.Thread(target=work, args=(_size(journal),), daemon=True)
        sender.start()
        try:
            yield
        finally:
            over.set()
            sender.join()

    def _try_to_send(self, path: Path) -> bool:
        """Send what is not finished yet; an error is noted, for the storage may answer again when the run ends."""
        try:
            self.send(path)
        except Exception as error:
            note(f"{path} could not be sent to {self.url}: {first_line(error)}")
            return False
        return True

    def _machine(self) -> str:
        """Return this machine's token, by which its own leases are known after a process of it has died."""
        path = self.folder / _MACHINE
        if not path.is_file():
            write_text(path, uuid.uuid4().hex)
        return path.read_text(encoding="utf-8")


def _size(path: Path) -> int:
    """Return a file's size in bytes, 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0
