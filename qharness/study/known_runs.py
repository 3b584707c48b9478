"""Runs that were made before, found again by what was asked for. Light: neither torch nor lm-eval is imported.

The name of a run's folder is a hash of all that decides its completions. Some of that (the task's own sampling, the
device, the dtype, the shortest name of a perturbation) takes lm-eval, torch and the task's data to find out. So a
finished run leaves a note in the cache: for this request, and with files and versions that look so, it is that folder.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from qharness.errors import CacheError, DataError, DiskError, QHarnessError
from qharness.evaluate.run.run_folder import read_run
from qharness.models.checkpoint import Checkpoint
from qharness.progress import note
from qharness.quantization.resolution import BoundModel
from qharness.registry import get_registry
from qharness.results import RunResult
from qharness.specs import MaxLoss, RunSpec
from qharness.storage.atomic_writer import write_json
from qharness.storage.benchmark_files import cache_path, mirror_dir
from qharness.storage.fingerprints import hash_of, program_hash, sources_below, stat_hash
from qharness.storage.json_reader import read_json
from qharness.study.compared_results import compared
from qharness.study.jobs import has_baseline

KIND = "known-runs"
"""The cache's folder of notes."""
_DEVICES = ("nvidia[0-9]*", "dxg", "kfd")
_TASK_FILES = (".yaml", ".py", ".json", ".jsonl")


class FolderHashes(dict[Path, str]):
    """Hashes of folders' files of tasks, by size and time; each is walked once, and taken not to change meanwhile."""

    def __missing__(self, folder: Path) -> str:
        self[folder] = stat_hash(sources_below(folder, *_TASK_FILES))
        return self[folder]


def known_results(
    specs: Sequence[RunSpec], bound: BoundModel, hashes: FolderHashes | None = None
) -> list[RunResult] | None:
    """The results of runs that are all whole, and whose note still holds; None where any is not known so.

    `bound`: the model of the specs. Each is compared with its baseline anew, as when it was made. `hashes`: those that
    calls for other specs share.
    """
    hashes = FolderHashes() if hashes is None else hashes
    found: list[tuple[RunResult, RunResult | None]] = []
    for spec in specs:
        run = _known(spec, bound, hashes)
        if run is None:
            return None
        found.append(run)
    told = [result for _, result in found if result and specs[0].baseline_run is None] + [run for run, _ in found]
    for result in told:
        note(f"already done: {result.folder}")
    return [
        run if baseline is None else compared(run, baseline, spec.max_loss)
        for (run, baseline), spec in zip(found, specs, strict=True)
    ]


def remember(spec: RunSpec, bound: BoundModel, run: Path, baseline: Path | None, files: Iterable[Path]) -> None:
    """Write the note that a request's run, and its baseline, are in these folders; nothing where that cannot be.

    `files`: the benchmark's files that were read.
    """
    read = sorted(str(path.absolute()) for path in files)
    with suppress(CacheError, DiskError, OSError):
        path = _path(spec, bound, FolderHashes())
        if path is not None:
            folders = [None if folder is None else str(folder.absolute()) for folder in (run, baseline)]
            document = {"run": folders[0], "baseline": folders[1], "files": read}
            write_json(path, {**document, "hash": stat_hash(map(Path, read))})


def _known(spec: RunSpec, bound: BoundModel, hashes: FolderHashes) -> tuple[RunResult, RunResult | None] | None:
    """The finished run of a request, and the one it is compared with, if any."""
    try:
        path = _path(spec, bound, hashes)
        written = read_json(path, DataError) if path is not None and path.is_file() else None
        if written is None or stat_hash(map(Path, written["files"])) != written["hash"]:
            return None
        run = _result(spec, written["run"])
        if written["baseline"] is None:
            return None if run is None else (run, None)
        baseline = _result(spec, spec.baseline_run or written["baseline"])
    except (QHarnessError, OSError, LookupError, TypeError):  # the long way says what is wrong
        return None
    return None if run is None or baseline is None else (run, baseline)


def _result(spec: RunSpec, folder: str | Path) -> RunResult | None:
    """The finished run in a folder, named as the user names the folder of runs."""
    place = Path(folder)
    if folder != spec.baseline_run and place.parent == spec.output.absolute():
        place = spec.output / place.name
    document = read_run(place)
    return None if document is None else RunResult(place, document)


def _path(spec: RunSpec, bound: BoundModel, hashes: FolderHashes) -> Path | None:
    """The file of the note on a request; None of one whose run another program than ours may change unseen."""
    registry = get_registry()
    if spec.base_url is not None or spec.drawn is not None or registry.family(spec.task) is not None:
        return None
    named = spec.baseline_run and spec.baseline_run.absolute()
    asked = dataclasses.replace(
        spec, output=spec.output.absolute(), baseline_run=named, compare=has_baseline(spec), max_loss=MaxLoss()
    )
    models = [Checkpoint(name, spec.trust_remote_code) for name in (spec.model, spec.baseline) if name is not None]
    key = hash_of(
        asked,
        (mirror_dir(spec.data_dir) or Path()).absolute(),
        bound.spec.quant,
        bound.spec.calib,
        *(model.identity for model in models),
        program_hash(),
        sorted(registry.plugins.items()),
        *(hashes[folder] for folder in _task_folders(spec)),
        stat_hash(_plugin_files(spec, bound)),
        os.environ.get("CUDA_VISIBLE_DEVICES"),
        *sorted(str(path) for pattern in _DEVICES for path in Path("/dev").glob(pattern)),
    )
    return cache_path(KIND, f"{key}.json")


def _task_folders(spec: RunSpec) -> list[Path]:
    """The folders of the files that say what the task is."""
    registry = get_registry()
    folders = {entry.value.source.folder for entry in registry.tasks.values()}
    if spec.base_task not in registry.tasks and (package := find_spec("lm_eval")) and package.origin:
        folders.add(Path(package.origin).parent / "tasks")
    return sorted(folders)


def _plugin_files(spec: RunSpec, bound: BoundModel) -> Iterator[Path]:
    """The code of the plugins that the run uses."""
    perturbations = [offer.value for offer in get_registry().perturbations.values()] if spec.perturbation else []
    for used in (type(bound.quantizer), type(bound.calibration_set), *perturbations):
        code = getattr(sys.modules.get(used.__module__), "__file__", None)
        if code:
            yield from sorted(Path(code).parent.glob("*.py"))
