"""Comparisons of finished runs, in the cache folder: two runs that have not changed are compared once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qharness.errors import CacheError, DataError, DiskError, SamplesError
from qharness.evaluate.run.run_folder import SAMPLES
from qharness.results import Comparison, RunRecord, RunResult
from qharness.stats.comparison import comparable, compare_runs
from qharness.stats.pairing import RunRows, run_rows
from qharness.storage.atomic_writer import write_json
from qharness.storage.benchmark_files import cache_path
from qharness.storage.fingerprints import content_hash, hash_of, program_hash
from qharness.storage.json_reader import read_json
from qharness.storage.json_values import json_safe

KIND = "comparisons"
"""The cache's folder of comparisons."""


@dataclass(frozen=True)
class RecordedRun:
    """A finished run by its folder and its record; `read` gives its rows, when they are needed."""

    folder: Path
    record: RunRecord
    read: Callable[[], RunRows]

    @classmethod
    def of(cls, result: RunResult) -> RecordedRun:
        """The run of a result."""
        return cls(result.folder, result.record, lambda: run_rows(result.record, result.folder))


def compare_once(first: RecordedRun, second: RecordedRun) -> Comparison | None:
    """Compare the second run with the first, as `compare_runs` does, or take the comparison that was made before.

    It is known by the folders, the bytes of both samples.jsonl, what the records say of their rows, and qharness's own
    files; a cache that cannot be written is done without. None where the second run holds nothing to compare. Raises
    SamplesError as `compare_runs` does.
    """
    if not (second.folder / SAMPLES).is_file():
        return None
    path = _path(first, second)
    if path is not None and path.is_file():
        try:
            return Comparison.of_document(read_json(path, DataError), path)
        except (DataError, SamplesError):  # it is damaged, and written again
            pass
    own = second.read()
    if not comparable(own.rows):
        return None
    found = compare_runs(first.read(), own)
    if path is not None:
        with suppress(DiskError):
            write_json(path, json_safe(found.document))
    return found


def _path(*runs: RecordedRun) -> Path | None:
    """The cache's file for a comparison; None where there is no cache, or a run has no completions."""
    try:
        return cache_path(KIND, f"{hash_of(program_hash(), *map(_side, runs))}.json")
    except (OSError, CacheError):
        return None


def _side(run: RecordedRun) -> str:
    record, spec = run.record, run.record.spec
    rows = f"{run.folder} {content_hash(run.folder / SAMPLES)}"
    return f"{rows} {spec.task_name} {record.main_metric_name} {record.noise} {spec.prompting!r} {spec.language}"
