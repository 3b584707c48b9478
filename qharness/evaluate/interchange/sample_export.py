"""`export`: a finished run's samples in another harness's format."""

from __future__ import annotations

import gzip
from pathlib import Path

from qharness.errors import SamplesError, UnknownNameError
from qharness.evaluate.interchange.sample_formats import FORMATS
from qharness.evaluate.interchange.samples import ExportedRun
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.evaluate.run.run_folder import JOURNAL, RESULTS, SAMPLES, Journal, read_lines, require_run
from qharness.storage.atomic_writer import write_bytes, write_text
from qharness.storage.disk_errors import named
from qharness.storage.json_reader import read_json
from qharness.storage.whole_folder import new_folder


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
    if formats[format].files:
        with new_folder(target) as folder:
            for name, text in formats[format].write(finished):
                _write(folder / name, text)
    else:
        for _, text in formats[format].write(finished):
            with named(f"--output {target}"):
                _write(target, text)
    return len(finished.samples)


def _finished(folder: Path, data_dir: Path | None) -> ExportedRun:
    document = require_run(folder)
    spec = document["spec"]
    kept = Path(spec["data_dir"]) if spec.get("data_dir") else None
    loaded = load_task(spec["task"], data_dir or kept, spec["seed"])
    if not loaded.languages:
        raise SamplesError(f"{folder} is a run of {spec['task']!r}, whose problems have no tests for us to run")
    docs = {name: list(task.eval_docs) for name, task in loaded.tasks.items()}
    rows = read_lines(folder / SAMPLES, ("task", "doc_id", "task_id", "completion", "status"))
    samples = [(row, docs[row["task"]][row["doc_id"]]) for row in rows]
    results = read_json(folder / RESULTS, SamplesError)
    return ExportedRun(document, results, samples, Journal(folder / JOURNAL).completions)


def _write(path: Path, text: str) -> None:
    """The same bytes whenever it is written, packed ones too."""
    if path.suffix == ".gz":
        write_bytes(path, gzip.compress(text.encode("utf-8"), mtime=0))
    else:
        write_text(path, text)
