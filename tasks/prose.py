"""Finds the natural language in a code prompt: docstrings and comments less their examples."""

from __future__ import annotations

import re

from qharness import Span

_EXAMPLE_HEAD = re.compile(
    r"^\W*(for )?(example|sample|test case|case)s?( cases?)?( \d+)?\s*[:.]?\s*$"  # a heading
    r"|^\W*(for )?examples?\b\s*[:,\d]|^\W*(input|output|explanation|e\.g)\b\s*[:.]|^>>>",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^\w+:$")
_CODE_LIKE = re.compile(r"->|=>|==|➞|\breturns? +[\[({\"'\d-]|^\w+\(.*\)|^\w+ = ")
# What stands before the prose of a line: comment marks, a bullet, a tag or a parameter's name and type.
_OPENING = r"\s*(/\*\*|\*(?!/)|//)?\s*"
_MARKS = re.compile(_OPENING + r"([-*•]\s+|\")?(@param\s+\w+\s+|@\w+\s+|\w+\s*(\([^)]*\))?:\s+)?")
_JAVA_COMMENT = re.compile(r"/\*\*.*?\*/|(?:^[ \t]*//[^\n]*\n(?:[ \t]*\n)*)+", re.DOTALL | re.MULTILINE)
_DOCSTRING = re.compile(r'("""|\'\'\')(.*?)(\1|\Z)', re.DOTALL)


def docstring_spans(prompt: str, field: str = "prompt") -> list[Span]:
    """The prose of the last docstring of a Python prompt."""
    found = list(_DOCSTRING.finditer(prompt))
    return _prose_lines(prompt, found[-1].start(2), found[-1].end(2), field) if found else []


def java_comment_spans(prompt: str, field: str = "prompt") -> list[Span]:
    """The prose of the last comment of a Java prompt: Javadoc, or lines that begin with `//`."""
    found = list(_JAVA_COMMENT.finditer(prompt))
    return _prose_lines(prompt, found[-1].start(), found[-1].end(), field) if found else []


def _prose_lines(prompt: str, start: int, end: int, field: str) -> list[Span]:
    """The lines between two positions that are prose, each without indentation, comment marks, tags and names.

    From the first line of an example on, everything up to the next blank line is left out; so is a line that does
    not begin with a letter, or that looks like code.
    """
    spans: list[Span] = []
    position, in_example = start, False
    for line in prompt[start:end].splitlines(keepends=True):
        whole = re.sub(r"\s*(\*/)?\s*$", "", line)
        bare = re.sub(f"^{_OPENING}", "", whole)
        marks = _MARKS.match(whole)
        offset = marks.end() if marks else 0
        if _EXAMPLE_HEAD.match(bare):
            in_example = True
        elif not bare:
            in_example = False
        elif (
            not in_example and whole[offset:][:1].isalpha() and not _HEADING.match(bare) and not _CODE_LIKE.search(bare)
        ):
            spans.append((field, position + offset, position + len(whole)))
        position += len(line)
    return spans
