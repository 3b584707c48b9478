"""Benchmark files (a pinned upstream, a checksum, a local mirror), and the cache folder."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness.api.tasks import Document
from qharness.errors import DataError, first_line
from qharness.scoped_value import scoped
from qharness.storage.atomic_writer import write_bytes
from qharness.storage.disk_errors import named
from qharness.storage.json_reader import decode, json_lines
from qharness.storage.ownership import make_private, require_ours

if TYPE_CHECKING:
    from datasets import Dataset

_TIMEOUT_S = 60
Row = dict[str, Any]
"""A row of a benchmark's file: the values that its JSON or parquet has, by field."""


@dataclass(frozen=True)
class FilesRead:
    """The benchmark files that were read: their SHA-256 by file name, and their paths."""

    digests: dict[str, str] = field(default_factory=dict)
    paths: list[Path] = field(default_factory=list)


_files_read: ContextVar[FilesRead | None] = ContextVar("files_read", default=None)


def cache_dir() -> Path:
    """Return the cache folder: QHARNESS_CACHE_DIR, or `qharness` in the user's cache folder.

    A missing one is made, for its user alone. Raises CacheError where anybody else can change it.
    """
    set_by_user = os.environ.get("QHARNESS_CACHE_DIR")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") if not set_by_user else Path(set_by_user)
    folder = home if set_by_user else home / "qharness"
    require_ours(folder)
    with suppress(OSError):  # the next write to it raises
        make_private(folder)
    return folder


def cache_path(*parts: str, inside: bool = False) -> Path:
    """Return the path of a file or folder of the cache; make the folder that it stands in.

    Raises CacheError where anybody else can change it or a folder above it, or, if `inside`, anything in it.
    """
    path = cache_dir().joinpath(*parts)
    require_ours(path, inside=inside)
    with suppress(OSError):
        make_private(path.parent)
    return path


def mirror_dir(data_dir: str | Path | None = None) -> Path | None:
    """Return the local mirror: `data_dir`, or the folder that QHARNESS_DATA_DIR names, or None."""
    mirror = data_dir or os.environ.get("QHARNESS_DATA_DIR")
    return Path(mirror) if mirror else None


@contextmanager
def recording() -> Iterator[FilesRead]:
    """Yield what collects each benchmark file that is read inside."""
    files = FilesRead()
    with scoped(_files_read, files):
        yield files


def test_split(rows: Iterable[Document], packages: Sequence[str] = ()) -> dict[str, Dataset]:
    """Return documents as lm-eval takes them: a Hugging Face dataset of one split, `test`.

    `packages`: the packages that the programs of all these documents import, as in the task's YAML.
    """
    from datasets import Dataset

    asked = {"packages": list(packages)} if packages else {}
    return {"test": Dataset.from_list([{**row, **asked} for row in rows])}


@dataclass(frozen=True)
class BenchmarkFile:
    """One file of a benchmark: its path in a mirror, its URL, and its SHA-256 where one is known.

    `fields`: where it is not empty, the checksum is of these fields of the rows and not of the file, because copies of
    the benchmark differ in line ends or in unused fields. `also`: paths in a mirror that may hold the same rows in
    another format, for which no checksum is known.
    """

    path: str
    url: str
    sha256: str | None = None
    fields: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    def rows(self, data_dir: str | Path | None = None) -> list[Row]:
        """Read the file's rows: JSON lines (`.jsonl`, `.jsonl.gz`) or parquet.

        With a mirror (`data_dir`, or else QHARNESS_DATA_DIR), nothing touches the network. Without one, the file is
        fetched once into the Hugging Face cache folder. Raises DataError if the file is missing, cannot be fetched,
        has another checksum or cannot be read.
        """
        mirror = mirror_dir(data_dir)
        path = self._in_mirror(mirror) if mirror else self._fetched()
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None
        found = hashlib.sha256(content).hexdigest()
        if not self.fields and path.name == Path(self.path).name:
            self._check(path, found)
        if (files := _files_read.get()) is not None:
            files.digests[Path(self.path).with_name(path.name).as_posix()] = found
            files.paths.append(path)
        rows = _parquet_rows(path) if path.suffix == ".parquet" else _json_rows(path, content)
        if self.fields:
            values = sorted(json.dumps([row.get(name) for name in self.fields]) for row in rows)
            self._check(path, hashlib.sha256("\n".join(values).encode()).hexdigest())
        return rows

    def _check(self, path: Path, found: str) -> None:
        if self.sha256 and found != self.sha256:
            of = f" of its {', '.join(self.fields)}" if self.fields else ""
            raise DataError(f"{path} has sha256 {found}{of}, not {self.sha256}: replace it with {self.url}")

    def _in_mirror(self, mirror: Path) -> Path:
        paths = [mirror / name for name in (self.path, *self.also)]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise DataError(f"{paths[0]} is missing: fetch {self.url} to there, or correct --data-dir")
        return path

    def _fetched(self) -> Path:
        """Return the file in the Hugging Face cache folder; download it if it is not there. Raises DataError."""
        home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache/huggingface")
        path = home / "qharness" / hashlib.sha256(self.url.encode()).hexdigest()[:12] / Path(self.path).name
        if path.is_file():
            return path
        advice = f"no network? fetch {self.url} to DIR/{self.path} and give --data-dir DIR"
        if os.environ.get("HF_HUB_OFFLINE") == "1":
            raise DataError(f"{self.path} is not cached and HF_HUB_OFFLINE=1: {advice}")
        try:
            with urllib.request.urlopen(self.url, timeout=_TIMEOUT_S) as response:  # noqa: S310 - https, fixed above
                content = response.read()
        except (urllib.error.URLError, OSError) as error:
            raise DataError(f"{self.path} could not be fetched ({error}): {advice}") from None
        with named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
        return path


def _json_rows(path: Path, content: bytes) -> list[Row]:
    try:
        text = decode(gzip.decompress(content) if path.suffix == ".gz" else content)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    return [row for _, row in json_lines(text, path, DataError)]


def _parquet_rows(path: Path) -> list[Row]:
    import pyarrow
    from pyarrow import parquet

    try:
        rows: list[Row] = parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read: {first_line(error)}") from None
    return rows
