"""Code summarization: CodeXGLUE's code-to-text (Lu et al. 2021), Python's test split of 14,918 functions.

Each model reads functions as its authors wrote them: CodeT5 as tokens with a space between them, PLBART with its marks
for lines and indentation, and a causal model as source code with a comment that asks for the summary.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness import BenchmarkFile, DataError, Document, Span, TaskSource, hookimpl, test_split
from qharness.tasks.code2text.sources import spaced_tokens, with_layout_marks, without_docstring

if TYPE_CHECKING:
    from datasets import Dataset

# The Hub's own conversion to parquet. CodeXGLUE's preprocessing writes the same rows as JSON lines.
FILE = BenchmarkFile(
    "code2text/python-test.parquet",
    "https://huggingface.co/datasets/google/code_x_glue_ct_code_to_text/resolve/"
    "052dd9a1f94c886433c7a09acd9a0157de21c246/python/test/0000.parquet",
    "0c12bf0bad6a82c584673622154e5bf930773f7def1d2c35a885be83717d9878",
    also=("code2text/python-test.jsonl", "code2text/python-test.jsonl.gz"),
)
_FIELDS = ("code", "code_tokens", "docstring_tokens")
_LONGEST = 256  # tokens of a function that CodeT5 and PLBART read


def dataset(data_dir: str | None = None, **metadata: Any) -> dict[str, Dataset]:
    """Functions as CodeT5 reads them: 256 tokens, the two special ones among them. lm-eval passes all metadata."""
    return _dataset(spaced_tokens, data_dir, _LONGEST)


def plbart_dataset(data_dir: str | None = None, **metadata: Any) -> dict[str, Dataset]:
    """Functions as PLBART reads them: 256 tokens, an end and a language's code after them."""
    return _dataset(with_layout_marks, data_dir, _LONGEST + 2)


def comment_dataset(data_dir: str | None = None, **metadata: Any) -> dict[str, Dataset]:
    """Functions without their docstrings, and a comment to be continued."""
    return _dataset(lambda row: f"{without_docstring(row)}\n\n# Summary:", data_dir)


def _dataset(
    source: Callable[[dict[str, Any]], str], data_dir: str | None, max_source_tokens: int | None = None
) -> dict[str, Dataset]:
    rows = FILE.rows(data_dir)
    if missing := sorted({field for row in rows for field in _FIELDS if field not in row}):
        raise DataError(f"{FILE.path}, or what stands in for it, has rows without {missing[0]!r}")
    return test_split(
        {
            "task_id": f"code2text-python/{number}",
            "prompt": source(row),
            "summary": " ".join(" ".join(row["docstring_tokens"]).replace("\n", "").split()),
            "max_source_tokens": max_source_tokens,
        }
        for number, row in enumerate(rows)
    )


def prose_spans(doc: Document) -> list[Span]:
    """None: a function to summarize is code."""
    return []


@hookimpl
def qharness_tasks() -> list[TaskSource]:
    """Offer `code2text-python`, `code2text-python-plbart` and `code2text-python-comment`."""
    return [TaskSource(Path(__file__).parent, prose_spans)]
