"""Completions of whatever harness, read from its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Any

from qharness.api.tasks import Document
from qharness.errors import SamplesError
from qharness.storage.json_reader import JsonError, json_lines, parse_json, read_text

Problems = Mapping[str, Document]
"""A task's documents by `task_id`."""
# Of a folder's files; MultiPL-E keeps the completions it has not run beside its results, lm-eval its own results.
_IN_FOLDERS = (".results.json.gz", ".results.json", ".jsonl.gz", ".jsonl")


class Extent(Enum):
    """What a sample's text is: it follows its prompt, or holds it, or follows it and is yet to be cut by its task."""

    COMPLETION = "completion"
    SOLUTION = "solution"
    UNCUT = "uncut"


@dataclass(frozen=True)
class Sample:
    """One completion to run. `row`: its line, to which its verdict is added."""

    task_id: str
    text: str
    extent: Extent
    row: Mapping[str, Any]


@dataclass(frozen=True)
class SampleFormat:
    """How a harness writes samples.

    `fields`: what every line has, or every file of one document. `files`: a run is a folder of files, not one file.
    `read`: the samples of one line or document; raises ValueError with what is wrong with it.
    `write`: (name, content) of each file that a run is; names ending in .gz are packed.
    """

    name: str
    fields: tuple[str, ...]
    read: Callable[[Mapping[str, Any], Problems], list[Sample]]
    write: Callable[[ExportedRun], Iterator[tuple[str, str]]]
    files: bool = False


@dataclass(frozen=True)
class ExportedRun:
    """A run's document, lm-eval's own, and the lines of its samples.jsonl, each with its problem.

    `uncut`: what the model said, by document, sample and prompt_sha.
    """

    document: Mapping[str, Any]
    results: Mapping[str, Any]
    samples: Sequence[tuple[Mapping[str, Any], Document]]
    uncut: Mapping[tuple[int, int, str], str]

    def by_problem(self) -> Iterator[list[tuple[Mapping[str, Any], Document]]]:
        """The samples of one problem after another."""
        for _, group in groupby(self.samples, key=lambda sample: (sample[0]["task"], sample[0]["doc_id"])):
            yield list(group)


def read_samples(path: Path, formats: Sequence[SampleFormat], problems: Problems, task: str) -> list[Sample]:
    """All samples of a file, or of a folder of files; each line's (or file's) fields tell which format it is.

    Raises SamplesError, naming file and line, for what is in none of them or is no sample of these problems.
    """
    found: list[Sample] = []
    for place, row in _documents(path):
        try:
            samples = _format_of(row, formats).read(row, problems)
        except ValueError as error:
            raise SamplesError(f"{place}{error}") from None
        for sample in samples:
            if not isinstance(sample.task_id, str) or sample.task_id not in problems:
                raise SamplesError(f"{place}: {task} has no problem {sample.task_id!r}")
        found += samples
    if not found:
        raise SamplesError(f"{path} has no samples")
    return found


def _format_of(row: Any, formats: Sequence[SampleFormat]) -> SampleFormat:
    """The first format all of whose fields are there; ValueError names what the nearest lacks."""
    names = set(row) if isinstance(row, dict) else set()
    for each in formats:
        if names.issuperset(each.fields):
            return each
    nearest = max(formats, key=lambda each: len(names.intersection(each.fields)))
    missing = next(field for field in nearest.fields if field not in names)
    raise ValueError(f" has no {missing!r}: {nearest.name}'s fields are {', '.join(nearest.fields)}")


def _documents(path: Path) -> Iterator[tuple[str, Any]]:
    """(where it stands, document) of each line of a .jsonl file, or of each file of another kind."""
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.name.endswith(_IN_FOLDERS))
        if not files:
            raise SamplesError(f"{path} has no samples: no file in it ends in {', '.join(_IN_FOLDERS)}")
        for each in files:
            yield from _documents(each)
        return
    text = read_text(path, SamplesError)
    if ".json" not in path.suffixes:
        yield from json_lines(text, path, SamplesError)
        return
    try:
        yield str(path), parse_json(text)
    except JsonError as error:
        raise SamplesError(f"{path} {error}") from None
