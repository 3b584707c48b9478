"""McEval (Chai et al. 2024): Python and Java as Giagnorio et al. 2025 use it, and other languages as they are upstream.

The files are upstream's. Python and Java are changed as in that paper's copy: eight Python problems that are in
HumanEval too are left out, the Java class is called `Problem` and is not public, and two problems whose tests test
nothing are corrected.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness import BenchmarkFile, DataError, Document, TaskSource, hookimpl, test_split
from qharness.tasks.prose import prose_spans

if TYPE_CHECKING:
    from datasets import Dataset

_UPSTREAM = "https://raw.githubusercontent.com/MCEVAL/McEval/09dec129dd5756447227239b3e5b47e543c2e0fd/data"
PYTHON = BenchmarkFile(
    "mceval/Python.jsonl",
    f"{_UPSTREAM}/Python.jsonl",
    "6e84bef2dd4e55033691da7ed3b506cec75d7efa1d9fff48d629704e36e56eda",
)
JAVA = BenchmarkFile(
    "mceval/Java.jsonl",
    f"{_UPSTREAM}/Java.jsonl",
    "89578a76b083167ed28ae8c5c860ac24b7ce370ddade2142d9aa2e30fa64fed7",
)
OTHERS = {
    "c": ("C", "1155876f8a3e2b8392ace6825a6917f7277bc46a78068b5dc25c08ab53182239"),
    "cpp": ("CPP", "e303524cf0f73b1d6875a91166f7c9c98417188674c40bd5af7976ff5c24c811"),
    "go": ("Go", "c25d91c8e4ca59fe0e82828845b32a6130bba8e801f43b5562b0e2d65ecb6131"),
    "javascript": ("JavaScript", "fcdf0c4cd1dbc7b4e0ec05190203cfa320ecd3db47bce3c12ec1a8f40038496b"),
    "typescript": ("TypeScript", "8b4ae969d8ec72929fe44c0ddbd5b431feff5947d58a38fbbb5ac5db061451b7"),
}
"""The name of a language's file, and the file's SHA-256, by the language."""

IN_HUMANEVAL = frozenset(f"Python/{n}" for n in (1, 2, 3, 4, 5, 6, 23, 30))

# Python/9 defines its tests and never calls them; Java/53 calls a helper that only the reference solution defines.
MENDED_TESTS = {
    "Python/9": [("", "\n\n# Run the test cases\ntest_find_number_combinations()")],
    "Java/53": [
        (
            f'testReverseWords("{words}", "{reversed_}");',
            f'assert reverseWords("{words}").equals("{reversed_}") : "Test failed for input: {words}";',
        )
        for words, reversed_ in (
            ("The quick brown fox", "ehT kciuq nworb xof"),
            ("Hello World", "olleH dlroW"),
            ("a b c d e f", "a b c d e f"),
        )
    ],
}


def python_dataset(data_dir: str | None = None, **metadata: Any) -> dict[str, Dataset]:
    """Return the 42 Python problems, for lm-eval, which passes a task's whole metadata."""
    rows = (row for row in PYTHON.rows(data_dir) if row["task_id"] not in IN_HUMANEVAL)
    return test_split(_document(row, "python", row["prompt"], _tests(row)) for row in rows)


def java_dataset(data_dir: str | None = None, **metadata: Any) -> dict[str, Dataset]:
    """Return the 53 Java problems, for lm-eval, which passes a task's whole metadata."""
    return test_split(_java_document(row) for row in JAVA.rows(data_dir))


def dataset(data_dir: str | None = None, *, programs: str, **metadata: Any) -> dict[str, Dataset]:
    """Return the problems of another language, which a task's metadata names as `programs`."""
    name, sha256 = OTHERS[programs]
    file = BenchmarkFile(f"mceval/{name}.jsonl", f"{_UPSTREAM}/{name}.jsonl", sha256)
    return test_split(_document(row, programs, row["prompt"], _tests(row)) for row in file.rows(data_dir))


def _java_document(row: Document) -> Document:
    prompt = row["prompt"].replace("public class Solution", "class Solution").replace("Solution", "Problem")
    document = _document(row, "java", prompt, _tests(row).replace("Solution", "Problem"))
    return {**document, "entry_class": "Problem"}


def _tests(row: Document) -> str:
    tests: str = row["test"]
    for old, new in MENDED_TESTS.get(row["task_id"], ()):
        if old not in tests:
            raise DataError(f"McEval {row['task_id']} has no {old!r} in its tests: this is not the pinned version")
        tests = tests.replace(old, new) if old else tests + new
    return tests


def _document(row: Document, language: str, prompt: str, tests: str) -> Document:
    return {
        "task_id": row["task_id"],
        "prompt": prompt,
        "language": language,
        # Prompts end with the docstring's quotes or the method's signature; a completion starts a new line or not.
        "joint": "\n",
        "tests": tests,
        "canonical_solution": row["canonical_solution"],
        "level": row["level"],
    }


@hookimpl
def qharness_tasks() -> list[TaskSource]:
    """Offer `mceval-LANGUAGE` for each language."""
    return [TaskSource(Path(__file__).parent, prose_spans)]
