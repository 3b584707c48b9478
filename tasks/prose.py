"""Finds the natural language in a code prompt: docstrings and comments less their examples."""

from __future__ import annotations

import re

from qharness import Span

_EXAMPLE_HEAD = re.compile(r"^\W*(for )?(example|examples|example cases|sample|input|output|test case)s?\b.*", re.IGNORECASE)
_CODE_LIKE = re.compile(r"^(>>>|\.\.\.)|->|=>|==|➞|^\s*[\[({\"'\d-]|\breturns? +[\[({\"'\d-]|^\w+\(.*\)")
_JAVADOC = re.compile(r"/\*\*.*?\*/", re.DOTALL)
_DOCSTRING = re.compile(r'("""|\'\'\')(.*?)(\1|\Z)', re.DOTALL)
_STARS = re.compile(r"^\s*(/\*\*|\*/|\*)?\s*|\s*\*/\s*$")


def docstring_spans(prompt: str, field: str = "prompt") -> list[Span]:
    """The prose of the last docstring of a Python prompt."""
    found = list(_DOCSTRING.finditer(prompt))
    return _prose_lines(prompt, found[-1].start(2), found[-1].end(2), field) if found else []


def javadoc_spans(prompt: str, field: str = "prompt") -> list[Span]:
    """The prose of the last Javadoc comment of a Java prompt."""
    found = list(_JAVADOC.finditer(prompt))
    return _prose_lines(prompt, found[-1].start(), found[-1].end(), field) if found else []


def _prose_lines(prompt: str, start: int, end: int, field: str) -> list[Span]:
    """The lines between two positions that are prose, each without its indentation and comment marks.

    Everything from the first example on is left out up to the next paragraph that is plainly prose.
    """
    spans: list[Span] = []
    position, in_example = start, False
    for line in prompt[start:end].splitlines(keepends=True):
        text, offset = _strip_marks(line.rstrip("\n"))
        if _EXAMPLE_HEAD.match(text) or text.startswith(">>>"):
            in_example = True
        elif not text:
            in_example = False
        elif not in_example and not _CODE_LIKE.search(text) and any(c.isalpha() for c in text):
            spans.append((field, position + offset, position + offset + len(text)))
        position += len(line)
    return spans


def _strip_marks(line: str) -> tuple[str, int]:
    """(`line` without indentation and comment marks, how many characters stand before it)."""
    lead = _STARS.match(line)
    offset = lead.end() if lead else 0
    text = re.sub(r"\s*\*/\s*$", "", line[offset:]).rstrip()
    return text, offset
