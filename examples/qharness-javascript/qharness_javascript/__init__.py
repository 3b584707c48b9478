"""JavaScript and a benchmark in it, registered with qharness through the entry point in pyproject.toml."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness import Document, Language, Span, TaskSource, hookimpl, test_split
from qharness_javascript.language import JavaScript

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["JavaScript", "dataset", "problems", "prose_spans", "qharness_languages", "qharness_tasks"]

HERE = Path(__file__).parent
_COMMENT = re.compile(r"/\*\*(.*?)\*/", re.DOTALL)
_SENTENCE = re.compile(r"^[ \t]*\*[ \t]+(?!@)(.*\S)", re.MULTILINE)
_CODE = re.compile(r"`[^`]*`")


def problems() -> list[dict[str, Any]]:
    """The ten problems: task_id, prompt, canonical_solution, tests, language."""
    return [json.loads(line) for line in (HERE / "js-ten.jsonl").read_text(encoding="utf-8").splitlines()]


def dataset(**metadata: Any) -> dict[str, Dataset]:
    """The problems for lm-eval, which passes a task's whole metadata."""
    return test_split(problems())


def prose_spans(doc: Document) -> list[Span]:
    """The sentences of the prompt's comment, less its tags and what stands between backticks."""
    prompt, spans = doc["prompt"], []
    for comment in _COMMENT.finditer(prompt):
        for line in _SENTENCE.finditer(prompt, comment.start(1), comment.end(1)):
            left = line.start(1)
            for code in [*_CODE.finditer(prompt, *line.span(1)), None]:
                right = code.start() if code else line.end(1)
                words = re.search(r"[^\W\d_].*\w", prompt[left:right])
                if words:
                    spans.append(("prompt", left + words.start(), left + words.end()))
                left = code.end() if code else right
    return spans


@hookimpl
def qharness_languages() -> list[type[Language]]:
    """Offer `node`."""
    return [JavaScript]


@hookimpl
def qharness_tasks() -> list[TaskSource]:
    """Offer `js-ten`."""
    return [TaskSource(HERE, prose_spans)]
