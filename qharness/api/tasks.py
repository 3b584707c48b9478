"""Tasks: a plugin's folder of lm-eval YAMLs, or the tasks of another harness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Document = Mapping[str, Any]
"""One problem of a task, as lm-eval holds it: a row of the task's data set."""
TaskConfig = dict[str, Any]
"""A task's configuration, as lm-eval's YAMLs have it."""
Span = tuple[str, int, int]
"""(field, start, end): a stretch of natural language in a document's field, in characters."""


def no_prose(doc: Document) -> list[Span]:
    """Return no spans: the documents hold no natural language that may be perturbed."""
    return []


@dataclass(frozen=True)
class TaskSource:
    """A folder of lm-eval YAMLs, and the places of natural language in their documents.

    `prose_spans(doc)` returns the spans that a perturbation may change, such as the docstring inside a prompt of code.
    """

    folder: Path
    prose_spans: Callable[[Document], list[Span]] = no_prose


@dataclass(frozen=True)
class TaskFamily:
    """The tasks of another harness, each called `NAME:TASK`, whose names only the harness's own package knows.

    `module`: the package's import name; `install`: the command that installs it. Where it is installed, `names()`
    returns the names of its tasks, and `configuration(task)` what lm-eval's TaskManager loads for `NAME:TASK`: a
    `class` and its options. `unperturbed`: the reason why the prompts cannot be perturbed, for an error message.
    """

    name: str
    module: str
    summary: str
    install: str
    names: Callable[[], Sequence[str]]
    configuration: Callable[[str], dict[str, object]]
    unperturbed: str
