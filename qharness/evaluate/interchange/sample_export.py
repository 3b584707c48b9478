"""`export`: writes a finished run's samples in another harness's format."""

from __future__ import annotations

import gzip
from pathlib import Path

from qharness.errors import SamplesError, UnknownNameError
from qharness.evaluate.interchange.sample_formats import FORMATS
from qharness.evaluate.interchange.samples import ExportedRun
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.evaluate.run.run_folder import JOURNAL, RESULTS, RUN, SAMPLES, Journal, read_lines, require_run
from qharness.results import RunRecord, SampleRow
from qharness.storage.atomic_writer import write_bytes, write_text
from qharness.storage.disk_errors import named
from qharness.storage.json_reader import read_json
from qharness.storage.whole_folder import new_folder


def export(run: str | Path, format: str, output: str | Path, *, data_dir: Path | None = None) -> int:  # noqa: A002
    """Write the samples of a run folder, and return how many there are.

    `output` is a file, which is replaced; for a format of many files it is a folder, which must not exist or be empty.
    The task's problems are read again, from `data_dir` or the run's own. Raises SamplesError for anything but a
    finished run of programs, UnknownNameError, DataError, or QHarnessError for an impossible output.
    """
    formats = {each.name: each for each in FORMATS}
    if format not in formats:
        raise UnknownNameError("format", format, formats)
    target = Path(output)
    finished = _finished(Path(run), data_dir)
    if formats[format].many_files:
        with new_folder(target) as folder:
            for name, text in formats[format].write(finished):
                _write(folder / name, text)
    else:
        for _, text in formats[format].write(finished):
            with named(f"--output {target}"):
                _write(target, text)
    return len(finished.samples)


def _finished(folder: Path, data_dir: Path | None) -> ExportedRun:
    record = RunRecord.of_document(require_run(folder), folder / RUN)
    loaded = load_task(record.spec.task, data_dir or record.spec.data_dir, record.spec.seed)
    if not loaded.languages:
        raise SamplesError(f"{folder} is a run of {record.spec.task!r}, whose problems have no tests for us to run")
    docs = {name: list(task.eval_docs) for name, task in loaded.tasks.items()}
    path = folder / SAMPLES
    lines = read_lines(path, ("task", "doc_id", "task_id", "completion", "status"))
    samples = [(row, docs[row.task][row.doc_id]) for row in SampleRow.of_documents(lines, path)]
    results = read_json(folder / RESULTS, SamplesError)
    return ExportedRun(record, results, samples, Journal(folder / JOURNAL).completions)


def _write(path: Path, text: str) -> None:
    """Write a text file, packed if its name ends in .gz: the same bytes at any time."""
    if path.suffix == ".gz":
        write_bytes(path, gzip.compress(text.encode("utf-8"), mtime=0))
    else:
        write_text(path, text)
