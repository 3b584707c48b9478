"""The runs in a folder of run folders, and the one that a user names: by its path, by its id, or as `last`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Literal

from qharness.errors import SamplesError
from qharness.evaluate.run.run_folder import JOURNAL, RUN, SAMPLES, is_run, require_run
from qharness.results import RunRecord

LAST = "last"
"""The name of the newest run that is whole."""
SHORTEST = 4
"""Digits of an id that are shown at least, and that tell an id from a model's name."""
State = Literal["whole", "drawn", "partial", "damaged"]

_NAME = re.compile(r".+--([0-9a-f]{12})")
_ID = re.compile(r"[0-9a-f]{1,12}")
_UNNAMED = [""] * 4
_CANDIDATES = 5


@dataclass(frozen=True)
class ListedRun:
    """A run's folder as a listing finds it, without a look into its files.

    `key`: the hash at the end of its name; a folder that was named by hand has its whole name. `time`: when its
    completions were written, in seconds since 1970. `whole`: whether it has a run.json.
    """

    folder: Path
    key: str
    time: float
    whole: bool

    @cached_property
    def record(self) -> RunRecord | None:
        """The record of a finished run; None of one that is not finished, or cannot be read."""
        try:
            return RunRecord.of_document(require_run(self.folder), self.folder)
        except SamplesError:
            return None

    @property
    def state(self) -> State:
        """`whole`; `drawn`: as far as `choose` needed it; `partial`: the command that made it goes on with it.

        `damaged`: its run.json cannot be read, and the command that made it makes that again.
        """
        if self.record is None:
            return "damaged" if self.whole else "partial"
        return "drawn" if self.record.spec.drawn else "whole"

    @property
    def labels(self) -> tuple[str, str, str]:
        """The model, the quantizer and the task; of a run that is not finished as its folder's name has them.

        There some characters are replaced by `_`. A folder that was named otherwise has its name for a model.
        """
        *model, quant, _, perturbation, task = _parts(self.folder.name)
        name = "--".join(model) or (self.record.spec.model if self.record else self.folder.name)
        if self.record:
            spec = self.record.spec
            return name, spec.quant, spec.with_prompting(spec.task)
        return name, quant, task if perturbation in ("", "none") else f"{task}@{perturbation}"

    def count_completions(self) -> int:
        """How many completions its journal has."""
        try:
            return (self.folder / JOURNAL).read_bytes().count(b"\n")
        except OSError:
            return 0


def _parts(name: str) -> list[str]:
    """The parts of a run folder's name: model, quantizer, calibration set, perturbation, task; of others four empty."""
    parts = name.split("--")[:-1] if _NAME.fullmatch(name) else []
    chat = len(parts) > 1 and parts[-1] == "chat"
    parts = [*parts[:-2], f"{parts[-2]}, chat"] if chat else parts
    return parts if len(parts) > len(_UNNAMED) else _UNNAMED


def list_runs(folder: Path) -> list[ListedRun]:
    """The runs whose folders are in this one, newest first. Raises SamplesError where it is no folder."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise SamplesError(f"{folder} cannot be read: {error.strerror}") from None
    return sorted(filter(None, map(_listed, entries)), key=lambda run: (-run.time, run.folder.name))


def _listed(entry: os.DirEntry[str]) -> ListedRun | None:
    """The run in a folder; None where it holds none. A run.json may be written again, its samples are not."""
    folder, named = Path(entry.path), _NAME.fullmatch(entry.name)
    finished = _time(folder / RUN)
    if finished is None and (not named or not entry.is_dir()):
        return None
    written = _time(folder / SAMPLES) or finished or _time(folder / JOURNAL) or _time(folder)
    return ListedRun(folder, key_of(entry.name), written or 0.0, finished is not None)


def key_of(name: str) -> str:
    """The hash at the end of a run folder's name; the whole name of a folder that was named by hand."""
    named = _NAME.fullmatch(name)
    return named[1] if named else name


def _time(path: Path) -> float | None:
    """When a file was written, in seconds since 1970; None where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def short_ids(runs: Sequence[ListedRun]) -> dict[Path, str]:
    """The shortest beginning of each run's key that no other has, of four digits or more, by folder."""
    ordered = sorted(runs, key=lambda run: run.key)
    shared = [_shared(one.key, other.key) for one, other in pairwise(ordered)]
    lengths = [1 + max(before, after) for before, after in zip([0, *shared], [*shared, 0], strict=True)]
    return {run.folder: run.key[: max(SHORTEST, length)] for run, length in zip(ordered, lengths, strict=True)}


def _shared(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def find_run(name: str | Path, runs: Path) -> Path:
    """The folder that a user names: a path that exists; else a run in the folder `runs`, by id or `last`.

    `DIR/last` and `DIR/ID` are looked up in DIR. Raises SamplesError, which lists the candidates, for an id that no run
    has, or several have, and for `last` where no run is whole.
    """
    path = Path(name)
    if os.path.lexists(path):
        return path
    folder = runs if path.parent == Path() else path.parent
    there = list_runs(folder) if os.path.lexists(folder) else []
    if not there:
        raise SamplesError(f"{path} is no folder, and there are no runs in {folder}")
    found = list(_called(path.name, there))
    if len(found) == 1:
        return found[0].folder
    ids = short_ids(there)
    if found:
        raise SamplesError(f"{path} may be any of {len(found)} runs in {folder}: {_named(found, ids)}")
    missing = f"no run in {folder} is whole" if path.name == LAST else f"no run in {folder} has such an id"
    raise SamplesError(f"{path} is no folder, and {missing}; there are {_named(there, ids)}")


def find_named_run(name: str | Path, runs: Path) -> Path | None:
    """The folder of a run where the name, which may be another thing's, is that of a run; else None.

    A run's are `last`, and four digits of its id or more, also after a folder; and the path of its folder. Raises
    SamplesError as `find_run` does.
    """
    path = Path(name)
    if os.path.lexists(path):
        return path if is_run(path) else None
    named = path.name == LAST or (len(path.name) >= SHORTEST and _ID.fullmatch(path.name))
    return find_run(path, runs) if named else None


def _called(name: str, runs: Sequence[ListedRun]) -> Iterator[ListedRun]:
    """The runs that a name may mean, of runs that are ordered newest first."""
    if name == LAST:
        yield from [run for run in runs if run.whole][:1]
        return
    is_id = _ID.fullmatch(name)
    for run in runs:
        if run.folder.name == name or (is_id and run.key.startswith(name)):
            yield run


def _named(runs: Sequence[ListedRun], ids: Mapping[Path, str]) -> str:
    """The newest of these runs, for a message, and how many more there are."""
    shown = [f"{ids[run.folder]} ({' '.join(run.labels)})" for run in runs[:_CANDIDATES]]
    more = len(runs) - len(shown)
    return ", ".join([*shown, *([f"and {more} more, which `qharness runs` lists"] if more else [])])
