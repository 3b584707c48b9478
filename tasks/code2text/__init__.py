"""Code summarization: CodeXGLUE's code-to-text (Lu et al. 2021), Python's test split of 14,918 functions.

Each model reads functions in the form that its authors chose: CodeT5 reads tokens with a space between them, PLBART
reads marks for lines and indentation, and a causal model reads source code with a comment that asks for the summary.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness import BenchmarkFile, DataError, Document, TaskSource, hookimpl, test_split
from qharness.tasks.code2text.sources import spaced_tokens, with_layout_marks, without_docstring
from qharness.tasks.prose import prose_spans

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
    """Return functions as CodeT5 reads them: 256 tokens, with two special ones. lm-eval passes all metadata."""
    return _dataset(spaced_tokens, data_dir, _LONGEST)


def plbart_dataset(data_dir: str | None = None, **metadata: Any) -> dict[str, Dataset]:
    """Return functions as PLBART reads them: 256 tokens, an end and a language's code after them."""
    return _dataset(with_layout_marks, data_dir, _LONGEST + 2)


def comment_dataset(data_dir: str | None = None, **metadata: Any) -> dict[str, Dataset]:
    """Return functions without their docstrings, and a comment to be continued."""
    return _dataset(lambda row: f"{without_docstring(row)}\n\n# Summary:", data_dir)


def _dataset(
    source: Callable[[Document], str], data_dir: str | None, max_source_tokens: int | None = None
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


@hookimpl
def qharness_tasks() -> list[TaskSource]:
    """Offer `code2text-python`, `code2text-python-plbart` and `code2text-python-comment`."""
    return [TaskSource(Path(__file__).parent, prose_spans)]
