"""Finds what a report is made of: runs, profiles and noise, in folders of any depth."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from qharness.errors import SamplesError
from qharness.evaluate.run.run_folder import JOURNAL, RUN, read_run, require_run
from qharness.report.data.finished_runs import FULL, FinishedRun
from qharness.report.data.labels import Labels, setting
from qharness.specs import RunSpec
from qharness.storage.json_reader import read_json

_RUN_NAME = re.compile(r".+--.+--[0-9a-f]{12}")
_EXTENT: dict[str, Any] = {"samples": None, "limit": None, "batch_size": None}
_AS_RUN = ("model", "quantizer", "calibration", "device", "dtype")
_OF_PROFILE = (*_AS_RUN, "prompt_tokens", "new_tokens", "instance")
_PROFILE = {*_OF_PROFILE, "latency_s", "storage_bytes", "resident_bytes", "usd_per_1k", "gco2eq_per_1k"}
_NOISE = {"model", "quantizer", "layers", "mean"}
_NO_FIGURES: dict[str, Any] = {}


@dataclass(frozen=True, eq=False)
class Collection:
    """What was found. `entries`: in the order of their folders; `unfinished`: folders of runs that are not whole.

    `profiles`, `noise`: documents of `qharness profile` (full precision, which stands in another's, beside it) and of
    `qharness noise`.
    """

    entries: tuple[FinishedRun, ...]
    profiles: tuple[dict[str, Any], ...] = ()
    noise: tuple[dict[str, Any], ...] = ()
    unfinished: tuple[Path, ...] = ()
    _compared: dict[tuple[Path, Path], dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def largest(self) -> tuple[FinishedRun, ...]:
        """The runs less those of which there is one of more problems or samples.

        Such a run stays, with all of its size, where it is beside others that there are in this size only.
        """
        best: dict[RunSpec, tuple[float, int]] = {}
        for entry in self.entries:
            best[_unlimited(entry.spec)] = max(_extent(entry), best.get(_unlimited(entry.spec), (0, 0)))
        groups: dict[Any, list[FinishedRun]] = {}
        for entry in self.entries:
            groups.setdefault((entry.model, entry.spec.task, setting(entry)), []).append(entry)
        whole = (
            group for group in groups.values() if any(_extent(entry) == best[_unlimited(entry.spec)] for entry in group)
        )
        kept = {entry for group in whole for entry in group}
        return tuple(entry for entry in self.entries if entry in kept)

    @cached_property
    def calibrated(self) -> Counter[str]:
        """How many runs there are on each calibration set."""
        return Counter(entry.calib for entry in self.entries if entry.calib)

    @cached_property
    def labels(self) -> Labels:
        """Names for what was run."""
        documents = (*self.profiles, *self.noise)
        return Labels(self.entries, self.largest, [(each["model"], each["quantizer"]) for each in documents])

    def by_size(self, entry: FinishedRun) -> tuple[bool, int, str]:
        """Sorts quantizers: full precision, and then what takes less and less."""
        if entry.full:
            return False, 0, ""
        return True, -(entry.storage_bytes or 0), self.labels.calibrated(entry)

    def parameters(self, entry: FinishedRun) -> int | None:
        """How many the model has, as any run of it says; None where none does."""
        return next((e.parameters for e in self.entries if e.model == entry.model and e.parameters), None)

    def profile_of(self, entry: FinishedRun) -> dict[str, Any]:
        """The profile of a run's model as it was run; an empty one where there is none."""
        asked = (entry.spec.model, entry.quant, entry.calib, entry.spec.device, entry.spec.dtype)
        return next((p for p in self.profiles if tuple(p[name] for name in _AS_RUN) == asked), _NO_FIGURES)

    def baseline_of(self, entry: FinishedRun) -> FinishedRun | None:
        """The same run in full precision, of as many completions as there are; None for one that is that itself."""
        if entry.full:
            return None
        wanted = dataclasses.replace(entry.spec, model=entry.model, quant=FULL, calib=None, baseline=None)
        found, wish = self._in_full.get(_unlimited(wanted), []), _extent(entry)
        return max(found, key=lambda e: (_extent(e) == wish, _extent(e)[0] == wish[0], _extent(e)), default=None)

    @cached_property
    def _in_full(self) -> dict[RunSpec, list[FinishedRun]]:
        """The runs in full precision by what was run, whatever their size."""
        found: dict[RunSpec, list[FinishedRun]] = {}
        for entry in self.entries:
            if entry.full:
                found.setdefault(_unlimited(dataclasses.replace(entry.spec, baseline=None)), []).append(entry)
        return found

    def comparison(self, entry: FinishedRun) -> dict[str, Any] | None:
        """The document of `compare` of a run with full precision; None where there is nothing to compare with.

        The one in its run.json, where it has one.
        """
        kept: dict[str, Any] | None = entry.document.get("baseline")
        if kept is not None or entry.full:
            return kept
        baseline = self.baseline_of(entry)
        return None if baseline is None else self.compare(baseline, entry)

    def compare(self, first: FinishedRun, second: FinishedRun) -> dict[str, Any]:
        """The document of `compare`, made once."""
        from qharness.stats import compare

        key = first.folder, second.folder
        if key not in self._compared:
            self._compared[key] = compare(*key).document
        return self._compared[key]


def _unlimited(spec: RunSpec) -> RunSpec:
    """Equal for runs that differ in how much of them was made only."""
    return dataclasses.replace(spec, **_EXTENT)


def _extent(entry: FinishedRun) -> tuple[float, int]:
    """How many problems and samples were asked for."""
    return math.inf if entry.spec.limit is None else entry.spec.limit, entry.spec.samples or 0


def read_entries(folders: Sequence[Path]) -> Collection:
    """Every finished run in these folders, or that these folders are; profiles and noise documents as well.

    Raises SamplesError for a folder that is not there, a damaged document, and where there is nothing at all.
    """
    for folder in folders:
        if not folder.is_dir():
            raise SamplesError(f"{folder} is no folder: name a run's, or one that holds runs")
    entries: dict[Path, FinishedRun] = {}
    unfinished: dict[Path, None] = {}
    profiles: dict[tuple[Any, ...], dict[str, Any]] = {}
    noise: list[dict[str, Any]] = []
    for path in dict.fromkeys(path for folder in folders for path in _walk(folder.resolve())):
        if path.is_dir():
            document = read_run(path)
            if document is None or "task" not in (document.get("spec") or {}):
                unfinished[path] = None
            else:
                entries[path] = FinishedRun(path, document)
        else:
            for each in _documents(path):
                if each.keys() >= _PROFILE:
                    for one in (each, each.get("baseline") or each):
                        profiles.setdefault(tuple(one[name] for name in _OF_PROFILE), one)
                elif each.keys() >= _NOISE:
                    noise.append(each)
    if not (entries or profiles or noise):
        where = ", ".join(map(str, folders))
        half = f"; runs that are not finished: {len(unfinished)}" if unfinished else ""
        raise SamplesError(f"nothing to report in {where}: it holds no finished run{half}")
    return Collection(tuple(entries.values()), tuple(profiles.values()), tuple(noise), tuple(unfinished))


def why_left_out(folder: Path) -> str:
    """An unfinished run's folder; or, where its run.json is there and damaged, what is wrong with that."""
    try:
        require_run(folder)
    except SamplesError as error:
        return str(error) if (folder / RUN).exists() else str(folder)
    return str(folder)


def _walk(top: Path) -> Iterator[Path]:
    """Folders of runs, finished or not, and files that may be profiles or noise, in order of their names."""
    for place, folders, files in os.walk(top):
        here = Path(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if RUN in files or JOURNAL in files or _RUN_NAME.fullmatch(here.name):
            folders.clear()
            yield here
            continue
        for name in sorted(files):
            kinds = (name, here.name)
            if name.endswith(".json") and any(kind.startswith(("profile", "noise")) for kind in kinds):
                yield here / name


def _documents(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON file: one, or a list of them."""
    found = read_json(path, SamplesError)
    return [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, dict)]
