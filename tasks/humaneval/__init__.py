"""HumanEval (Chen et al. 2021): 164 Python functions to complete from signature and docstring."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness import BenchmarkFile, Document, Span, TaskSource, hookimpl, test_split
from qharness.tasks.prose import docstring_spans

if TYPE_CHECKING:
    from datasets import Dataset

FILE = BenchmarkFile(
    "humaneval/HumanEval.jsonl.gz",
    "https://raw.githubusercontent.com/openai/human-eval/6d43fb980f9fee3c892a914eda09951f772ad10d/data/HumanEval.jsonl.gz",
    "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef",
)


def dataset(data_dir: str | None = None, **metadata: Any) -> dict[str, Dataset]:
    """Return the problems, for lm-eval, which passes a task's whole metadata."""
    return test_split(_document(row) for row in FILE.rows(data_dir))


def _document(row: Document) -> Document:
    return {
        "task_id": row["task_id"],
        "prompt": row["prompt"],
        "language": "python",
        "tests": f"{row['test']}\ncheck({row['entry_point']})\n",
        "canonical_solution": row["canonical_solution"],
    }


def prose_spans(doc: Document) -> list[Span]:
    """Return the prose of the docstring of the function to complete, without its examples."""
    return docstring_spans(doc["prompt"])


@hookimpl
def qharness_tasks() -> list[TaskSource]:
    """Offer `humaneval`."""
    return [TaskSource(Path(__file__).parent, prose_spans)]
