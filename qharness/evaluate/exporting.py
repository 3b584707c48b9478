"""`export`: a finished run's samples in another harness's format."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from qharness.errors import QHarnessError, SamplesError, UnknownNameError
from qharness.evaluate.bridge import load_task
from qharness.evaluate.folder import JOURNAL, RESULTS, SAMPLES, Journal, read_lines, read_run
from qharness.evaluate.formats import FORMATS
from qharness.evaluate.samples import FinishedRun
from qharness.storage.atomic_writer import write_text


def export(run: str | Path, format: str, output: str | Path, *, data_dir: Path | None = None) -> int:  # noqa: A002
    """Write the samples of a run folder, and return how many there are.

    `output` is a file, which is replaced, or for a format of many files a folder, which must not exist or be empty.
    The task's problems are read again, from `data_dir` or where the run had them. Raises SamplesError for what is no
    finished run of programs, UnknownNameError, DataError, or QHarnessError for an output that cannot be.
    """
    formats = {each.name: each for each in FORMATS}
    if format not in formats:
        raise UnknownNameError("format", format, formats)
    target = Path(output)
    finished = _finished(Path(run), data_dir)
    try:
        if formats[format].files:
            if target.exists() and (not target.is_dir() or any(target.iterdir())):
                raise QHarnessError(f"--output {target} exists and is no empty folder")
            target.mkdir(parents=True, exist_ok=True)
        for name, text in formats[format].write(finished):
            _write(target / name if name else target, text)
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
        raise SamplesError(f"{folder} is a run of {spec['task']!r}, whose problems have no tests for us to run")
    docs = {name: list(task.eval_docs) for name, task in loaded.tasks.items()}
    rows = read_lines(folder / SAMPLES, ("task", "doc_id", "task_id", "completion", "status"))
    samples = [(row, docs[row["task"]][row["doc_id"]]) for row in rows]
    results = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    return FinishedRun(document, results, samples, Journal(folder / JOURNAL).completions)


def _write(path: Path, text: str) -> None:
    """The same bytes whenever it is written, packed ones too."""
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))
    else:
        write_text(path, text)
