"""Finds the natural language in a prompt of code: docstrings and comments, without their examples, and without code,
names and values in their sentences."""

from __future__ import annotations

import re

from qharness import Document, Span

_EXAMPLE_HEAD = re.compile(
    r"^\W*(for )?(example|sample|test case|case)s?( cases?)?( \d+)?\s*[:.]?\s*$"  # a heading
    r"|^\W*(for )?examples?\b\s*[:,\d]|^\W*(input|output|explanation|e\.g)\b\s*[:.]|^>>>",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^\w+:$")
_CODE_LIKE = re.compile(r"->|=>|==|➞|\breturns? +[\[({\"'\d-]|^\w+\(.*\)|^\w+ = ")
# The part of a line before its prose: comment marks, a bullet, a tag or a parameter's name and type.
_OPENING = r"\s*(/\*\*?|\*(?!/)|//)?\s*"
_MARKS = re.compile(_OPENING + r"([-*•]\s+)?(@param\s+\w+\s+|@\w+\s+|\w+\s*(\([^)]*\))?:\s+)?")
_JAVA_COMMENT = re.compile(r"/\*\*.*?\*/|(?:^[ \t]*//[^\n]*\n(?:[ \t]*\n)*)+", re.DOTALL | re.MULTILINE)
_BLOCK_COMMENT = re.compile(r"/\*.*?\*/|(?:^[ \t]*//[^\n]*\n)+", re.DOTALL | re.MULTILINE)
# The parts of a sentence that are not prose.
_INLINE = re.compile(
    r""" "[^"\n]*" | `+[^`\n]*`+ | (?<!\w)'[^'\n]*'(?!\w)                  # a value or a name in quotes
    | \[[^\]\[\n]*\] | \{[^{}\n]*\}                                    # a list, a set
    | \(\s*\w+(?:\s*,\s*\w+)+\s*\)                                   # a tuple
    | [\w.]*\w\([^()\n]*\)                                           # a call
    | \S*[\d_=<>+*/^%|\\\[\]{}\#$@&~]\S*                              # a number, a formula, a snake_case name
    | \b[a-z]+[A-Z]\w* | \b\w+\.\w[\w.]*                              # another name: camelCase, dotted
    | (?<![\w'\u2019])[B-HJ-Zb-z](?![\w'\u2019]) | \b(?:[Tt]rue|[Ff]alse|None|null)\b   # a variable, a constant
    """,
    re.VERBOSE,
)
_LIKE_C = ("c", "cpp", "go", "javascript", "typescript")
_LABEL = re.compile(r"\w+:(?=\s)")
_PROSE = re.compile(r"\(?[^\W\d_].*\S|\(?[^\W\d_]", re.DOTALL)  # from its first word on
_WORD = re.compile(r"[^\W\d_]{2,}")
_DOCSTRING = re.compile(r'("""|\'\'\')(.*?)(\1|\Z)', re.DOTALL)


def prose_spans(doc: Document) -> list[Span]:
    """Return the prose of the docstring or comment of the function to complete; none without a language.

    Examples in the docstring are left out.
    """
    of_language = {"python": docstring_spans, "java": java_comment_spans, **dict.fromkeys(_LIKE_C, comment_spans)}
    language = doc.get("language", "")
    return of_language[language](doc["prompt"]) if language in of_language else []


def docstring_spans(prompt: str, field: str = "prompt") -> list[Span]:
    """Return the prose of the last docstring of a Python prompt."""
    found = list(_DOCSTRING.finditer(prompt))
    return _prose_lines(prompt, found[-1].start(2), found[-1].end(2), field) if found else []


def java_comment_spans(prompt: str, field: str = "prompt") -> list[Span]:
    """Return the prose of the last comment of a Java prompt: Javadoc, or lines that begin with `//`."""
    found = list(_JAVA_COMMENT.finditer(prompt))
    return _prose_lines(prompt, found[-1].start(), found[-1].end(), field) if found else []


def comment_spans(prompt: str, field: str = "prompt") -> list[Span]:
    """Return the prose of the last comment of a prompt in a language that comments as C does."""
    found = list(_BLOCK_COMMENT.finditer(prompt))
    return _prose_lines(prompt, found[-1].start(), found[-1].end(), field) if found else []


def sentence_spans(prompt: str, start: int, end: int, field: str = "prompt") -> list[Span]:
    """Return the prose of lines that are sentences: the stretches between code, names and values."""
    spans: list[Span] = []
    position = start
    for line in prompt[start:end].splitlines(keepends=True):
        spans += _sentence(line, position, field)
        position += len(line)
    return spans


def _sentence(line: str, position: int, field: str) -> list[Span]:
    """Return the prose of a line, or of the rest of one, that begins at `position`."""
    label = _LABEL.match(line)
    left, spans = label.end() if label else 0, []
    for right, end in [*(match.span() for match in _INLINE.finditer(line, left)), (len(line), len(line))]:
        prose = _PROSE.search(line, left, right)
        if prose and _WORD.search(prose[0]):
            spans.append((field, position + prose.start(), position + prose.end()))
        left = end
    return spans


def _prose_lines(prompt: str, start: int, end: int, field: str) -> list[Span]:
    """Return the prose of the lines between two positions, without indentation, comment marks, tags and names.

    The lines from the beginning of an example to the next blank line are left out; so is a line that looks like code,
    and one that does not begin with a letter, unless its sentence goes on after a value or a parenthesis.
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
        elif not in_example and not _HEADING.match(bare) and not _CODE_LIKE.search(bare):
            found = _sentence(whole[offset:], position + offset, field)
            words = sum(len(_WORD.findall(prompt[left:right])) for _, left, right in found)
            if whole[offset:][:1].isalpha() or (whole[offset:][:1] in "('\"`" and words > 1):
                spans += found
        position += len(line)
    return spans
