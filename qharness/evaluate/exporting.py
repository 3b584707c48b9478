"""`export`: a finished run's samples in another harness's format."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qharness.errors import QHarnessError, SamplesError, UnknownNameError
from qharness.evaluate.bridge import load_task
from qharness.evaluate.folder import RESULTS, SAMPLES, read_lines, read_run, write_lines
from qharness.evaluate.formats import FORMATS
from qharness.evaluate.samples import FinishedRun


def export(run: str | Path, format: str, output: str | Path, *, data_dir: Path | None = None) -> int:  # noqa: A002
    """Write the samples of a run folder, and return how many there are.

    `output` is a file of JSON lines, which is replaced, or for a format of files a folder, which must not exist or be
    empty. The task's problems are read again, from `data_dir` or where the run had them. Raises SamplesError for
    what is no finished run of programs, UnknownNameError, DataError, or QHarnessError for an output that cannot be.
    """
    writers = {each.name: each for each in FORMATS if each.write}
    if format not in writers:
        raise UnknownNameError("format", format, writers)
    chosen, target = writers[format], Path(output)
    finished = _finished(Path(run), data_dir)
    assert chosen.write is not None
    try:
        if chosen.files:
            if target.exists() and (not target.is_dir() or any(target.iterdir())):
                raise QHarnessError(f"--output {target} exists and is no empty folder")
            target.mkdir(parents=True, exist_ok=True)
            for name, document in chosen.write(finished):
                _write_packed(target / name, document)
        else:
            write_lines(target, (line for _, line in chosen.write(finished)))
    except OSError as error:
        raise QHarnessError(f"--output {target} cannot be written: {error.strerror}") from None
    return len(finished.samples)


def _finished(folder: Path, data_dir: Path | None) -> FinishedRun:
    document = read_run(folder)
    if document is None:
        raise SamplesError(f"{folder} is no finished run: it has no readable run.json")
    spec = document["spec"]
    kept = Path(spec["data_dir"]) if spec.get("data_dir") else None
    loaded = load_task(spec["task"], data_dir or kept, spec["seed"])
    if not loaded.languages:
        raise SamplesError(f"{folder} is a run of {spec['task']!r}, which runs no programs: there is none to export")
    docs = {name: list(task.eval_docs) for name, task in loaded.tasks.items()}
    rows = read_lines(folder / SAMPLES, ("task", "doc_id", "task_id", "completion", "status"))
    results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    return FinishedRun(document, [(row, docs[row["task"]][row["doc_id"]]) for row in rows], int(results["date"]))


def _write_packed(path: Path, document: Mapping[str, Any]) -> None:
    """One JSON document, gzipped; the same bytes whenever it is written."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    path.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
