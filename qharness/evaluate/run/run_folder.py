"""A run's folder: its name, its files, and the journal from which an interrupted run resumes."""

from __future__ import annotations

import glob
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from qharness.errors import SamplesError
from qharness.progress import note
from qharness.storage.atomic_writer import append_lines
from qharness.storage.json_reader import JsonError, json_lines, parse_json, read_json, read_text
from qharness.storage.json_values import JsonObject

RUN = "run.json"
RESULTS = "results.json"
SAMPLES = "samples.jsonl"
JOURNAL = "journal.jsonl"
LOCK = ".lock"


_EXTENT_DIGITS = 4
# Of what type the fields of samples.jsonl are, and whether they may be null.
_FIELDS: Mapping[str, tuple[type, bool]] = {
    "task": (str, False),
    "doc_id": (int, False),
    "sample": (int, False),
    "task_id": (str, True),
    "completion": (str, False),
    "status": (str, True),
    "passed": (bool, True),
}
_NOUNS = {str: "text", int: "whole number", bool: "true or false"}


def folder_name(parts: Sequence[str], key: Mapping[str, object], extent: Mapping[str, object]) -> str:
    """`part--part--...--hash`: parts for people, and a hash of all that they leave out.

    The hash's last digits are of `extent`, how many completions are made; the others of `key`, which decides each.
    """
    digest, last = (hashlib.sha256(json.dumps(each, sort_keys=True).encode()).hexdigest() for each in (key, extent))
    return "--".join(
        [*(re.sub(r"[^A-Za-z0-9._=,@+-]", "_", part) for part in parts), digest[:8] + last[:_EXTENT_DIGITS]]
    )


def relatives(folder: Path) -> list[Path]:
    """The folders beside this one of runs that make more or fewer of the same completions."""
    alike = glob.escape(folder.name[:-_EXTENT_DIGITS]) + "?" * _EXTENT_DIGITS
    return sorted(path for path in folder.parent.glob(alike) if path != folder)


def read_run(folder: Path) -> JsonObject | None:
    """The run's document if the folder is whole, else None."""
    try:
        return require_run(folder)
    except SamplesError:
        return None


def is_run(folder: Path) -> bool:
    """Whether a path is a finished run's folder, and not the name of a model, which a folder may have too."""
    try:
        return (folder / RUN).is_file()
    except (OSError, ValueError):  # of a name that is too long for any folder
        return False


def require_run(folder: Path) -> JsonObject:
    """The document of a finished run; raises SamplesError with the reason where the folder is none."""
    path = folder / RUN
    if not path.exists():
        raise SamplesError(f"{folder} is no finished run: it has no readable {RUN}")
    document = read_json(path, SamplesError)
    parts = [document] if not isinstance(document, dict) else [document.get(name, {}) for name in ("spec", "metrics")]
    if not all(isinstance(part, dict) for part in parts):
        raise SamplesError(f"{path} cannot be read: it is no run's document")
    found: JsonObject = document
    return found


def read_lines(path: Path, required: Sequence[str]) -> list[JsonObject]:
    """JSON lines, each an object with the `required` fields; raises SamplesError naming the file and the line."""
    rows = []
    for place, row in json_lines(read_text(path, SamplesError), path, SamplesError):
        missing = [field for field in required if not isinstance(row, dict) or field not in row]
        if missing:
            raise SamplesError(f"{place} has no {missing[0]!r}: each line is {{{', '.join(required)}}}")
        wrong = [field for field in required if field in _FIELDS and not _is(row[field], *_FIELDS[field])]
        if wrong:
            raise SamplesError(f"{place}: {wrong[0]!r} is no {_NOUNS[_FIELDS[wrong[0]][0]]}")
        rows.append(row)
    return rows


def _is(value: object, kind: type, may_be_none: bool) -> bool:
    if value is None:
        return may_be_none
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def completions_in(folder: Path) -> int:
    """How many completions a run's folder keeps in its journal, where an interruption may have left one twice."""
    return len({line for line in _whole_lines(folder / JOURNAL).split(b"\n") if line})


class Journal:
    """The completions of a run as they are made: appended and synced a few at a time, read again on resume.

    `others`: journals of other runs whose completions are the same, as of one with more samples. `appended`: how many
    were added since it was read.
    """

    def __init__(self, path: Path, others: Iterable[Path] = ()) -> None:
        self._path = path
        self.appended = 0
        self.completions: dict[tuple[int, int, str], str] = {}
        for each in (*others, path):
            self._read(each)

    def _read(self, path: Path) -> None:
        damaged = []
        for number, line in enumerate(_whole_lines(path).split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                row = parse_json(line)
                key = (row["doc_id"], row["sample"], row["prompt_sha"])
                if tuple(map(type, (*key, row["completion"]))) != (int, int, str, str):
                    raise JsonError("is no line of a journal")
                self.completions[key] = row["completion"]
            except (JsonError, KeyError, TypeError):
                damaged.append(number)
        if damaged:
            lines = f"{len(damaged)} damaged lines are left out (the first is line {damaged[0]})"
            note(f"{path}: {lines}: their completions are made again")

    def append(self, rows: Sequence[tuple[int, int, str, str]]) -> None:
        """Add (document, sample, prompt_sha, completion) rows, on disk when this returns; a torn line is cut off."""
        names = ("doc_id", "sample", "prompt_sha", "completion")
        self.appended += len(rows)
        append_lines(self._path, [dict(zip(names, row, strict=True)) for row in rows])


def _whole_lines(path: Path) -> bytes:
    """The bytes of a file up to its last line's end; none where there is no file."""
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise SamplesError(f"{path} cannot be read: {error.strerror}") from None
    return content[: content.rfind(b"\n") + 1]
