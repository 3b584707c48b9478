"""Reads rows of large files in random order, piece by piece: JSON lines, plain or compressed, and parquet.

A place is a path or a URL. Plain JSON lines can be read from any byte, at a URL too (HTTP ranges), so a file of many
gigabytes is split into pieces of 8 MB. A parquet file is split into its row groups; a compressed file is one piece.
Pieces are taken in random order, 16 at a time, and their rows are mixed.
"""

from __future__ import annotations

import gzip
import io
import os
import random
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from qharness import DataError, JsonError, MissingDependencyError, parse_json

ShardRow = Mapping[str, Any]

_PIECE_BYTES = 8 << 20
_OPEN = 16  # pieces whose rows are mixed
_WAITING = 2048  # rows out of which one is drawn
_TIMEOUT_S = 60


@dataclass(frozen=True)
class _Piece:
    """A piece of a file, and a function that reads its rows."""

    place: str
    read: Callable[[], Iterator[Any]]


def rows(
    places: Iterable[str], rng: random.Random, columns: Sequence[str] | None = None
) -> Iterator[tuple[str, ShardRow]]:
    """Yield (place, row) of all rows of these files, in an order that `rng` draws.

    `columns`: those of parquet files that are read, by default all. Raises DataError that names the place, for a file
    that cannot be read and for a row that is no object.
    """
    pieces = [piece for place in sorted(places) for piece in _guarded(place, partial(_pieces, place, columns))]
    rng.shuffle(pieces)
    left = iter(pieces)
    streams = [_rows(piece) for piece in islice(left, _OPEN)]
    waiting: list[tuple[str, ShardRow]] = []
    while streams or waiting:
        if streams and len(waiting) < _WAITING:
            chosen = rng.randrange(len(streams))
            row = next(streams[chosen], None)
            if row is not None:
                waiting.append(row)
            elif (piece := next(left, None)) is not None:
                streams[chosen] = _rows(piece)
            else:
                streams.pop(chosen)
        else:
            drawn = rng.randrange(len(waiting))
            waiting[drawn], waiting[-1] = waiting[-1], waiting[drawn]
            yield waiting.pop()


def _rows(piece: _Piece) -> Iterator[tuple[str, ShardRow]]:
    for row in _guarded(piece.place, piece.read):
        if not isinstance(row, dict):
            raise DataError(f"{piece.place}: a row is no object: {str(row)[:60]!r}")
        yield piece.place, row


def _guarded(place: str, read: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    """Yield what `read` returns; raise DataError that names the place if it fails."""
    try:
        yield from read()
    except JsonError as error:
        raise DataError(f"{place}: a line {error}; fetch the file again") from None
    except (OSError, HTTPException, EOFError, zlib.error, ValueError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{place} cannot be read ({said}); fetch the file again, or check the network") from None


def _pieces(place: str, columns: Sequence[str] | None) -> list[_Piece]:
    kind = next((kind for kind in _KINDS if place.endswith(kind)), None)
    if kind is None:
        raise DataError(f"{place} is none of {', '.join(_KINDS)}")
    return _KINDS[kind](place, columns)


# ------------------------------------------------------------------------------------------------------- JSON lines


def _plain(place: str, columns: Sequence[str] | None) -> list[_Piece]:
    size = _size(place)
    if size is None:
        return [_Piece(place, partial(_lines_from, place, 0, None))]
    starts = range(0, size, _PIECE_BYTES)
    return [_Piece(place, partial(_lines_from, place, start, start + _PIECE_BYTES)) for start in starts]


def _lines_from(place: str, start: int, end: int | None) -> Iterator[Any]:
    """Yield the lines that begin at bytes `start` to `end`: each line of a file belongs to one piece."""
    with closing(_open(place, max(start - 1, 0))) as file:
        position = start - 1 + len(file.readline()) if start else 0  # the rest of a line that belongs to another
        while (end is None or position < end) and (line := file.readline()):
            position += len(line)
            if line.strip():
                yield parse_json(line)


def _gzipped(place: str, columns: Sequence[str] | None) -> list[_Piece]:
    return [_Piece(place, partial(_whole, place, lambda file: gzip.GzipFile(fileobj=file)))]


def _zstd(place: str, columns: Sequence[str] | None) -> list[_Piece]:
    """Return a zstandard file as one piece. Raises MissingDependencyError without the package."""
    try:
        import zstandard
    except ImportError:
        raise MissingDependencyError(f"zstandard, to read {place},", "pip install 'qharness[corpora]'") from None

    def decompressed(file: BinaryIO) -> Any:
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True))

    def read() -> Iterator[Any]:
        try:
            yield from _whole(place, decompressed)
        except zstandard.ZstdError as error:
            raise OSError(str(error)) from None

    return [_Piece(place, read)]


def _whole(place: str, decompressed: Callable[[BinaryIO], Any]) -> Iterator[Any]:
    with closing(_open(place, 0)) as file:
        for line in decompressed(file):
            if line.strip():
                yield parse_json(line)


# ---------------------------------------------------------------------------------------------------------- parquet


def _parquet(place: str, columns: Sequence[str] | None) -> list[_Piece]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(place) as file:
        groups, found = file.num_row_groups, file.schema_arrow.names
    read = [name for name in found if columns is None or name in columns]
    return [_Piece(place, partial(_group, place, group, read)) for group in range(groups)]


def _group(place: str, group: int, columns: Sequence[str]) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(place) as file:
        yield from file.read_row_group(group, columns=list(columns)).to_pylist()


_KINDS: dict[str, Callable[[str, Sequence[str] | None], list[_Piece]]] = {
    ".jsonl": _plain,
    ".jsonl.gz": _gzipped,
    ".jsonl.zst": _zstd,
    ".parquet": _parquet,
}
KINDS = tuple(_KINDS)
"""The endings of the names of files that can be read."""


# ----------------------------------------------------------------------------------------------------------- places


def is_remote(place: str) -> bool:
    """Tell whether a place is a URL."""
    return place.startswith("https://")


def mirrored(folder: Path, layout: str, kinds: Sequence[str] = KINDS) -> list[str]:
    """List the files below a mirror's folder; if there are none, raise DataError that says what belongs there."""
    found = sorted(str(path) for path in folder.rglob("*") if path.name.endswith(tuple(kinds)) and path.is_file())
    if not found:
        raise DataError(f"{folder} has no {', '.join(f'*{kind}' for kind in kinds)}: {layout}, or correct --data-dir")
    return found


def state(places: Iterable[str]) -> str:
    """Return paths with sizes and times of change, which tell one state of a mirror from another."""
    stats = [(place, Path(place).stat()) for place in places]
    return "\n".join(f"{place} {stat.st_size} {stat.st_mtime_ns}" for place, stat in stats)


def fetch(url: str, advice: str) -> bytes:
    """Download a small file; raise DataError with `advice` if that fails."""
    if os.environ.get("HF_HUB_OFFLINE") == "1":
        raise DataError(f"{url} is not fetched, for HF_HUB_OFFLINE=1: {advice}")
    try:
        with _requested(url, "GET") as response:
            return cast("bytes", response.read())
    except (OSError, HTTPException) as error:
        raise DataError(f"{url} could not be fetched ({error}): {advice}") from None


def _size(place: str) -> int | None:
    if not is_remote(place):
        return Path(place).stat().st_size
    with _requested(place, "HEAD") as response:
        length = response.headers.get("Content-Length")
    return None if length is None else int(length)


def _open(place: str, start: int) -> BinaryIO:
    """Open a file at byte `start`."""
    if is_remote(place):
        response = _requested(place, "GET", start)
        if start and response.status != 206:
            raise OSError("the server gives no byte ranges")
        return cast("BinaryIO", response)
    file = Path(place).open("rb")  # noqa: SIM115 - the caller closes it
    file.seek(start)
    return file


def _requested(url: str, method: str, start: int = 0) -> Any:
    headers = {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310 - https, see is_remote
    return urllib.request.urlopen(request, timeout=_TIMEOUT_S)  # noqa: S310
