"""What a plugin says of its tasks. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Document = Mapping[str, Any]


Span = tuple[str, int, int]  # (field of the document, start, end) of a stretch of natural language, in characters


def no_prose(doc: Document) -> list[Span]:
    """The spans of a document that holds no natural language of its own."""
    return []


@dataclass(frozen=True)
class TaskSource:
    """A folder of lm-eval YAMLs, and where the natural language of its documents stands.

    `prose_spans(doc)` says which stretches of which field are prose (the docstring inside a code prompt, say), so
    that a perturbation touches nothing else.
    """

    folder: Path
    prose_spans: Callable[[Document], list[Span]] = no_prose


@dataclass(frozen=True)
class TaskFamily:
    """Tasks of another harness, `NAME:TASK`, whose names are known only once its package is imported.

    `module`: that package's; `install`: the command that installs it. `names` and `configuration` are called where it
    is installed: the tasks' names, and what lm-eval's TaskManager loads for `NAME:TASK` (a `class` and its options).
    `unperturbed`: why their prompts cannot be perturbed.
    """

    name: str
    module: str
    summary: str
    install: str
    names: Callable[[], Sequence[str]]
    configuration: Callable[[str], dict[str, Any]]
    unperturbed: str
