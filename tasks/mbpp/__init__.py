"""MBPP (Austin et al. 2021): 974 short Python problems, in InCoder's prompt format (Fried et al. 2022)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness import BenchmarkFile, Document, Span, TaskSource, hookimpl, test_split
from qharness.tasks.prose import sentence_spans

if TYPE_CHECKING:
    from datasets import Dataset

# Copies differ in their line ends, and the upstream commit of the checked one is unknown, so the checksum is of the
# problems.
FILE = BenchmarkFile(
    "mbpp/mbpp.jsonl",
    "https://raw.githubusercontent.com/google-research/google-research/master/mbpp/mbpp.jsonl",
    "b071a0a83b3baa7c3dd98745e386bd22e3bced65bdaa2a457e49bb2730e0fd73",
    fields=("task_id", "text", "code", "test_setup_code", "test_list"),
)
TEST_SPLIT = range(11, 511)
_QUOTES = '"""\n'


def dataset(data_dir: str | None = None, **metadata: Any) -> dict[str, Dataset]:
    """Return all 974 problems, for lm-eval, which passes a task's whole metadata."""
    return test_split(_document(row) for row in FILE.rows(data_dir))


def test_dataset(data_dir: str | None = None, **metadata: Any) -> dict[str, Dataset]:
    """Return the 500 problems of upstream's test split."""
    return test_split(_document(row) for row in FILE.rows(data_dir) if row["task_id"] in TEST_SPLIT)


def _document(row: Document) -> Document:
    return {
        "task_id": f"MBPP/{row['task_id']}",
        "prompt": f"{_QUOTES}{row['text']}\n{row['test_list'][0]}\n{_QUOTES}",
        "language": "python",
        # The set-up code of 367 and 927 builds trees of the solution's own class, so it follows the solution.
        "tests": "\n".join([_unix(row["test_setup_code"]), *row["test_list"], ""]),
        "canonical_solution": _unix(row["code"]),
    }


def _unix(code: str) -> str:
    """Return `code` with a line feed at the end of each line; upstream's was written on Windows."""
    return code.replace("\r\n", "\n").replace("\r", "\n")


def prose_spans(doc: Document) -> list[Span]:
    """Return the prose of the problem's text, which opens the docstring; the assertion below it is code."""
    return sentence_spans(doc["prompt"], len(_QUOTES), doc["prompt"].rindex("\nassert"))


@hookimpl
def qharness_tasks() -> list[TaskSource]:
    """Offer `mbpp` and `mbpp-test`."""
    return [TaskSource(Path(__file__).parent, prose_spans)]
