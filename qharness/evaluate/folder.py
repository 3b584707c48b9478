"""A run's folder: where it is, what is in it, and that it is whole or resumes."""

from __future__ import annotations

import glob
import hashlib
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qharness.errors import SamplesError
from qharness.progress import note
from qharness.storage.disk_errors import named
from qharness.storage.json_reader import JsonError, json_lines, parse_json, read_json, read_text

RUN = "run.json"
RESULTS = "results.json"
SAMPLES = "samples.jsonl"
JOURNAL = "journal.jsonl"
LOCK = ".lock"


_EXTENT_DIGITS = 4


def folder_name(parts: Sequence[str], key: Mapping[str, Any], extent: Mapping[str, Any]) -> str:
    """`part--part--...--hash`: the parts to read, the hash to tell apart what they leave out.

    Its last digits are of `extent`, how many completions are made; the others of what decides each of them.
    """
    digest, last = (hashlib.sha256(json.dumps(each, sort_keys=True).encode()).hexdigest() for each in (key, extent))
    return "--".join(
        [*(re.sub(r"[^A-Za-z0-9._=,@+-]", "_", part) for part in parts), digest[:8] + last[:_EXTENT_DIGITS]]
    )


def relatives(folder: Path) -> list[Path]:
    """The folders of runs beside this one that make the same completions, more or fewer of them."""
    alike = glob.escape(folder.name[:-_EXTENT_DIGITS]) + "?" * _EXTENT_DIGITS
    return sorted(path for path in folder.parent.glob(alike) if path != folder)


def json_safe(value: Any) -> Any:
    """`value` with NaN and infinities as None, for JSON has neither; mappings and sequences are gone through."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): json_safe(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(each) for each in value]
    return value


def defined(value: float | None) -> float:
    """A figure out of JSON, in which null stands for NaN."""
    return math.nan if value is None else float(value)


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all. Raises DiskError where the disk is full or refuses."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with named(path):
        _write_whole(path, scratch, text)


def _write_whole(path: Path, scratch: Path, text: str) -> None:
    try:
        # A lone surrogate, which UTF-8 has no form for, is written as JSON escapes it.
        with scratch.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """Write one JSON document atomically; what JSON has no form for is written as text."""
    write_atomically(path, json.dumps(json_safe(document), indent=2, ensure_ascii=False, default=str) + "\n")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines atomically."""
    write_atomically(path, "".join(json.dumps(json_safe(row), ensure_ascii=False) + "\n" for row in rows))


def read_run(folder: Path) -> dict[str, Any] | None:
    """The run's document if the folder is whole, else None."""
    if not (folder / RUN).is_file():
        return None
    try:
        document = read_json(folder / RUN, SamplesError)
    except SamplesError:
        return None
    return document if isinstance(document, dict) else None


def read_lines(path: Path, required: Sequence[str]) -> list[dict[str, Any]]:
    """JSON lines, each an object with the `required` fields; raises SamplesError naming the file and the line."""
    rows = []
    for place, row in json_lines(read_text(path, SamplesError), path, SamplesError):
        missing = [field for field in required if not isinstance(row, dict) or field not in row]
        if missing:
            raise SamplesError(f"{place} has no {missing[0]!r}: each line is {{{', '.join(required)}}}")
        rows.append(row)
    return rows


class Journal:
    """The completions of a run as they are made: appended and synced a few at a time, read again on resume.

    `others` are journals of completions that this run would make just so, as one of more samples does.
    """

    def __init__(self, path: Path, others: Iterable[Path] = ()) -> None:
        self._path = path
        self.completions: dict[tuple[int, int, str], str] = {}
        for other in others:
            self._read(other, _whole_lines(other))
        lines = _whole_lines(path)
        if path.exists() and path.stat().st_size > len(lines):  # the last line was torn when the run was killed
            with path.open("r+b") as file:
                file.truncate(len(lines))
        self._read(path, lines)

    def _read(self, path: Path, lines: bytes) -> None:
        """Take the lines of one journal; one that is damaged is left out, and its completion is made again."""
        damaged = 0
        for line in lines.split(b"\n"):
            try:
                row = parse_json(line) if line.strip() else None
                if row is not None:
                    self.completions[row["doc_id"], row["sample"], row["prompt_sha"]] = str(row["completion"])
            except (JsonError, KeyError, TypeError):
                damaged += 1
        if damaged:
            note(f"{path}: {damaged} damaged lines are left out; their completions are made again")

    def append(self, rows: Sequence[tuple[int, int, str, str]]) -> None:
        """Add (document, sample, prompt_sha, completion) rows, on disk when this returns."""
        names = ("doc_id", "sample", "prompt_sha", "completion")
        lines = [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=True) + "\n" for row in rows]
        with named(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write("".join(lines))
            file.flush()
            os.fsync(file.fileno())


def _whole_lines(path: Path) -> bytes:
    """What a file holds up to its last line's end; nothing where there is none."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]
