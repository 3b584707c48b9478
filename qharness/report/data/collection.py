"""Reads the finished runs, profiles and noise reports in folders of any depth."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from qharness.errors import SamplesError
from qharness.evaluate.run.run_folder import JOURNAL, RUN, require_run
from qharness.report.data.finished_runs import FULL, FinishedRun, RunExtent
from qharness.report.data.labels import Labels
from qharness.results import Comparison, CostProfile, NoiseReport, RunResult
from qharness.specs import RunSpec
from qharness.stats.comparison import compare_runs
from qharness.stats.comparison_cache import RecordedRun, compare_once
from qharness.storage.json_reader import read_json

_RUN_NAME = re.compile(r".+--.+--[0-9a-f]{12}")


@dataclass(frozen=True, eq=False)
class Collection:
    """The runs, profiles and noise reports in some folders. `runs`: in the order of their folders.

    `profiles`: also those of full precision within others. `unfinished`: folders of runs that are not finished.
    """

    runs: tuple[FinishedRun, ...]
    profiles: tuple[CostProfile, ...] = ()
    noise: tuple[NoiseReport, ...] = ()
    unfinished: tuple[Path, ...] = ()
    _compared: dict[tuple[Path, Path], Comparison] = field(default_factory=dict)

    @cached_property
    def largest(self) -> tuple[FinishedRun, ...]:
        """The runs without those that a run of more problems or more samples includes.

        A smaller run stays where another run of its setup, with another quantization, exists in this size only.
        """
        extents: dict[RunSpec, RunExtent] = {}
        for run in self.runs:
            spec = _unlimited(run.spec)
            extents[spec] = max(run.extent, extents.get(spec, run.extent))
        setups = {run.setup for run in self.runs if run.extent == extents[_unlimited(run.spec)]}
        return tuple(run for run in self.runs if run.setup in setups)

    @cached_property
    def calibrated(self) -> Counter[str]:
        """The number of runs on each calibration set."""
        return Counter(run.calib for run in self.runs if run.calib)

    @cached_property
    def labels(self) -> Labels:
        """Short names for the models, quantizers and tasks."""
        others = [(profile.model, profile.quantizer) for profile in self.profiles]
        others += [(report.model, report.quantizer) for report in self.noise]
        return Labels(self.runs, self.largest, others)

    def by_size(self, run: FinishedRun) -> tuple[bool, int, str]:
        """A key that sorts full precision first, and then large checkpoints before small ones."""
        return (False, 0, "") if run.full else (True, -(run.storage_bytes or 0), self.labels.calibrated(run))

    def parameters(self, run: FinishedRun) -> int | None:
        """The number of parameters of a run's model, which any of its runs may tell; None where none does."""
        return next((each.parameters for each in self.runs if each.model == run.model and each.parameters), None)

    def profile_of(self, run: FinishedRun) -> CostProfile | None:
        """The profile of a run's model, quantized the same and on the same device; None where there is none."""
        model = run.spec.model, run.quant, run.calib, run.spec.device, run.spec.dtype
        return next((profile for profile in self.profiles if _profiled(profile) == model), None)

    def baseline_of(self, run: FinishedRun) -> FinishedRun | None:
        """The same run in full precision, of the same extent if there is one; None for full precision itself."""
        if run.full:
            return None
        wanted = dataclasses.replace(run.spec, model=run.model, quant=FULL, calib=None, baseline=None)
        candidates, own = self._full_precision.get(_unlimited(wanted), []), run.extent
        likeness = lambda other: (other.extent == own, other.extent.problems == own.problems, other.extent)  # noqa: E731
        return max(candidates, key=likeness, default=None)

    @cached_property
    def _full_precision(self) -> dict[RunSpec, list[FinishedRun]]:
        """The runs in full precision of any extent, by their spec without it."""
        runs: dict[RunSpec, list[FinishedRun]] = {}
        for run in self.runs:
            if run.full:
                runs.setdefault(_unlimited(dataclasses.replace(run.spec, baseline=None)), []).append(run)
        return runs

    def comparison(self, run: FinishedRun) -> Comparison | None:
        """The comparison of a run with full precision: the one in its run.json, or else one made here.

        One that does not count its pairs, as of older versions, is made anew where its baseline is at hand. None where
        there is nothing to compare with.
        """
        found = run.baseline
        if run.full or (found is not None and (found.counts is not None or found.paper is None)):
            return found
        baseline = self.baseline_of(run)
        return found if baseline is None else self.compare(baseline, run)

    def compare(self, first: FinishedRun, second: FinishedRun) -> Comparison:
        """The comparison of two runs, which is made once, and cached."""
        key = first.folder, second.folder
        if key not in self._compared:
            found = compare_once(_recorded(first), _recorded(second))
            self._compared[key] = found or compare_runs(first.run_rows, second.run_rows)
        return self._compared[key]


def _recorded(run: FinishedRun) -> RecordedRun:
    return RecordedRun(run.folder, run.result.record, lambda: run.run_rows)


def _unlimited(spec: RunSpec) -> RunSpec:
    """The spec without its extent: equal for runs that differ only in how many completions they have."""
    return dataclasses.replace(spec, samples=None, limit=None, drawn=None, batch_size=None)


def read_collection(folders: Sequence[Path]) -> Collection:
    """The finished runs, profiles and noise reports in these folders; a folder may be a run's own.

    Raises SamplesError for a folder that does not exist, for a damaged file, and where there is nothing to report.
    """
    for folder in folders:
        if not folder.is_dir():
            raise SamplesError(f"{folder} is no folder: name a run's, or one that holds runs")
    runs: list[FinishedRun] = []
    unfinished: list[Path] = []
    profiles: dict[tuple[str | int | None, ...], CostProfile] = {}
    noise: list[NoiseReport] = []
    for path in dict.fromkeys(path for folder in folders for path in _walk(folder.resolve())):
        if path.is_dir():
            try:
                runs.append(_finished_run(path))
            except SamplesError:
                unfinished.append(path)
            continue
        for measurement in _measurements(path):
            if isinstance(measurement, NoiseReport):
                noise.append(measurement)
                continue
            for profile in (measurement, measurement.baseline or measurement):
                load = profile.prompt_tokens, profile.new_tokens, profile.instance
                profiles.setdefault((*_profiled(profile), *load), profile)
    if not (runs or profiles or noise):
        names = ", ".join(map(str, folders))
        left_out = f"; runs that are not finished: {len(unfinished)}" if unfinished else ""
        raise SamplesError(f"nothing to report in {names}: it holds no finished run{left_out}")
    return Collection(tuple(runs), tuple(profiles.values()), tuple(noise), tuple(unfinished))


def why_left_out(folder: Path) -> str:
    """The folder of an unfinished run; where its run.json is damaged, what is wrong with that."""
    try:
        _finished_run(folder)
    except SamplesError as error:
        return str(error) if (folder / RUN).exists() else str(folder)
    return str(folder)


def _finished_run(folder: Path) -> FinishedRun:
    """Raises SamplesError for a folder without a finished run."""
    result = RunResult(folder, require_run(folder))
    if not result.record.spec.task:
        raise SamplesError(str(folder))
    return FinishedRun(result)


def _walk(top: Path) -> Iterator[Path]:
    """Folders of runs, finished or not, and files that may be profiles or noise reports, sorted by name."""
    for parent, folders, files in os.walk(top):
        folder = Path(parent)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if RUN in files or JOURNAL in files or _RUN_NAME.fullmatch(folder.name):
            folders.clear()
            yield folder
            continue
        for name in sorted(files):
            if name.endswith(".json") and any(each.startswith(("profile", "noise")) for each in (name, folder.name)):
                yield folder / name


def _measurements(path: Path) -> Iterator[CostProfile | NoiseReport]:
    """The profiles and noise reports in a JSON file, which holds one or a list of them; other values are left out."""
    content = read_json(path, SamplesError)
    for document in content if isinstance(content, list) else [content]:
        for kind in (CostProfile, NoiseReport):
            with contextlib.suppress(SamplesError):
                yield kind.of_document(document, path)
                break


def _profiled(profile: CostProfile) -> tuple[str, str, str | None, str, str]:
    """The model that was profiled, how it is quantized, and where it ran."""
    return profile.model, profile.quantizer, profile.calibration, profile.device, profile.dtype
