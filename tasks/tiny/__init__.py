"""tinycoder's benchmarks: 100 problems, compositions that are not in its training data, made by examples/tinycoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness import TaskSource, hookimpl, test_split
from qharness.tasks.prose import prose_spans

if TYPE_CHECKING:
    from datasets import Dataset

_FOLDER = Path(__file__).parent


def python_dataset(**metadata: Any) -> dict[str, Dataset]:
    """Return the Python problems, for lm-eval, which passes a task's whole metadata."""
    return _dataset("tiny-python")


def java_dataset(**metadata: Any) -> dict[str, Dataset]:
    """Return the same problems in Java."""
    return _dataset("tiny-java")


def summary_dataset(**metadata: Any) -> dict[str, Dataset]:
    """Return programs, each with its summary."""
    return _dataset("tiny-summary")


def _dataset(task: str) -> dict[str, Dataset]:
    lines = (_FOLDER / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
    return test_split(map(json.loads, lines))


@hookimpl
def qharness_tasks() -> list[TaskSource]:
    """Offer `tiny-python`, `tiny-java` and `tiny-summary`."""
    return [TaskSource(_FOLDER, prose_spans)]
