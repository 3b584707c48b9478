"""MultiPL-E's HumanEval (Cassano et al. 2023), Python and Java, as Giagnorio et al. 2025 use it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness import BenchmarkFile, DataError, Document, TaskSource, hookimpl, test_split
from qharness.tasks.prose import prose_spans

if TYPE_CHECKING:
    from datasets import Dataset

_HUB = "nuprl/MultiPL-E"
_PAGE = f"https://huggingface.co/datasets/{_HUB}"
_FIELDS = ("name", "prompt", "tests", "stop_tokens")  # `original`, a path, is another in each copy
PYTHON = BenchmarkFile(
    "multipl-e/humaneval-py-reworded.jsonl",
    f"{_PAGE} (config humaneval-py)",
    "5c9919ba11b765045d0fd230ab9cec4917d7718bebe9f769954db0bffadc56f0",
    fields=_FIELDS,
)
JAVA = BenchmarkFile(
    "multipl-e/humaneval-java-reworded.jsonl",
    f"{_PAGE} (config humaneval-java)",
    "5270032b6719ff2fe289d0e4e79b818c7b1b396d83945b0f0afc4b4e13d0aba0",
    fields=_FIELDS,
)


def python_dataset(data_dir: str | None = None, **metadata: Any) -> dict[str, Dataset]:
    """Return the 161 Python problems, for lm-eval, which passes a task's whole metadata."""
    return test_split({**_document(row), "language": "python"} for row in _rows(PYTHON, data_dir))


def java_dataset(data_dir: str | None = None, **metadata: Any) -> dict[str, Dataset]:
    """Return the 158 Java problems, for lm-eval, which passes a task's whole metadata."""
    java = {"language": "java", "entry_class": "Problem"}
    return test_split({**_document(row), **java} for row in _rows(JAVA, data_dir))


def _rows(file: BenchmarkFile, data_dir: str | None) -> Iterable[Document]:
    """Read the rows from a mirror. Raises DataError, which tells how to make the file, without one: no URL has it."""
    if not data_dir and not os.environ.get("QHARNESS_DATA_DIR"):
        config = "-".join(Path(file.path).stem.split("-")[:2])
        raise DataError(
            f"{file.path} must be made, for the Hub has it as parquet only: "
            f"datasets.load_dataset({_HUB!r}, {config!r}, split='test').to_json('DIR/{file.path}'), then --data-dir DIR"
        )
    return file.rows(data_dir)


def _document(row: Document) -> Document:
    return {"task_id": row["name"], "prompt": row["prompt"], "tests": row["tests"]}


@hookimpl
def qharness_tasks() -> list[TaskSource]:
    """Offer `multiple-py` and `multiple-java`."""
    return [TaskSource(Path(__file__).parent, prose_spans)]
