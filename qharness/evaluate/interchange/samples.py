"""Samples of code models: a format's row, the samples that are read from files, and a run to be exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from qharness.errors import SamplesError
from qharness.storage.json_reader import JsonError, json_lines, parse_json, read_text

if TYPE_CHECKING:
    from qharness.api.tasks import Document
    from qharness.results import RunRecord, SampleRow
    from qharness.storage.json_values import JsonObject

Problems = Mapping[str, "Document"]
"""A task's documents by `task_id`."""
# Endings of the files that are read from a folder. Beside its results, MultiPL-E has completions that it has not run,
# and lm-eval its results.json.
_IN_FOLDERS = (".results.json.gz", ".results.json", ".jsonl.gz", ".jsonl")


class Extent(Enum):
    """The extent of a sample's text: without its prompt, with it, or without it and not yet cut as its task does.

    An ANSWER is a chat model's, out of which the code is yet to be taken. An UNCUT_ANSWER is that without the text that
    the task began it with, and not yet cut.
    """

    COMPLETION = "completion"
    SOLUTION = "solution"
    UNCUT = "uncut"
    ANSWER = "answer"
    UNCUT_ANSWER = "uncut answer"


@dataclass(frozen=True)
class Sample:
    """A completion to run. `row`: the line of the samples file that it came from, to which its verdict is added."""

    task_id: str
    text: str
    extent: Extent
    row: JsonObject

    @property
    def is_logged(self) -> bool:
        """Whether it is a model's own response, out of lm-eval's log."""
        return self.extent in (Extent.UNCUT, Extent.UNCUT_ANSWER)


_Read = Callable[["JsonObject", Problems], list[Sample]]


@dataclass(frozen=True)
class ExportedRun:
    """A finished run: its record, lm-eval's results, and the lines of its samples.jsonl, each with its problem.

    `uncut`: the model's own responses, by document, sample and prompt_sha.
    """

    record: RunRecord
    results: JsonObject
    samples: Sequence[tuple[SampleRow, Document]]
    uncut: Mapping[tuple[int, int, str], str]

    def by_problem(self) -> Iterator[list[tuple[SampleRow, Document]]]:
        """Yield the samples of one problem after another."""
        for _, group in groupby(self.samples, key=lambda sample: (sample[0].task, sample[0].doc_id)):
            yield list(group)


@dataclass(frozen=True)
class SampleFormat:
    """A format of samples: a choice of `qharness export --format`, and one that `qharness score` reads.

    `write(run)` yields the (name, content) of each file; names ending in .gz are packed. `many_files`: the files go
    into a folder; otherwise there is one, whose name is ignored. `read(document, problems)` returns the samples of a
    line, or of a file that is one document, and raises ValueError with the fault; None: the format is only written.
    `fields`: the fields of every such line or document, which tell it from those of other formats.
    """

    name: str
    write: Callable[[ExportedRun], Iterator[tuple[str, str]]]
    many_files: bool = False
    fields: tuple[str, ...] = ()
    read: _Read | None = None


def read_samples(path: Path, formats: Sequence[SampleFormat], problems: Problems, task: str) -> list[Sample]:
    """Read the samples of a file, or of a folder of files; the fields of each line (or file) tell its format.

    Raises SamplesError, with file and line, for a line in none of the formats or of none of these problems.
    """
    readers = [(each, each.read) for each in formats if each.read]
    found: list[Sample] = []
    for place, row in _documents(path):
        try:
            samples = _reader(row, readers)(row, problems)
        except ValueError as error:
            raise SamplesError(f"{place}{error}") from None
        for sample in samples:
            if not isinstance(sample.task_id, str) or sample.task_id not in problems:
                raise SamplesError(f"{place}: {task} has no problem {sample.task_id!r}")
        found += samples
    if not found:
        raise SamplesError(f"{path} has no samples")
    return found


def _reader(row: object, readers: Sequence[tuple[SampleFormat, _Read]]) -> _Read:
    """Return the reader of the first format whose fields are all there. ValueError names a field that is missing."""
    names = set(row) if isinstance(row, dict) else set()
    for each, read in readers:
        if names.issuperset(each.fields):
            return read
    nearest = max((each for each, _ in readers), key=lambda each: len(names.intersection(each.fields)))
    missing = next(field for field in nearest.fields if field not in names)
    raise ValueError(f" has no {missing!r}: {nearest.name}'s fields are {', '.join(nearest.fields)}")


def _documents(path: Path) -> Iterator[tuple[str, JsonObject]]:
    """Yield (place, document) of each line of a .jsonl file, or of each file of another kind."""
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
