"""Finds the blocks of code in an answer: between fences, and in the arguments of calls of tools."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"^(?P<before>[^`~\n]*?)(?P<fence>`{3,}|~{3,})(?P<after>[^\n]*)$", re.MULTILINE)
_TAG = re.compile(r"[ \t]*\{?[ \t]*\.?([\w+#.-]*)")
_INLINE = re.compile(r"(?<!`)`{3,20}+(?:[\w+#-]{1,20}+[ \t]+)?([^`\n]++)`{3}")
_QUOTE = re.compile(r"[ \t]*+(?:>[ \t]?+)*+")
_STRING = re.compile(r'"[A-Za-z_]{1,40}"\s{0,9}:\s{0,9}"((?:[^"\\]|\\.)*)', re.DOTALL)
_ELEMENT = re.compile(
    r"<(parameter|code|content|source|script|answer|solution|python|java|file)\b[^<>\n]{0,200}>(.*?)(?:</\1>|\Z)",
    re.DOTALL,
)
_BRACKETS = re.compile(r"\[(PYTHON|JAVA|CODE)\](.*?)(?:\[/\1\]|\Z)", re.DOTALL)
_PYTHON_TAG = re.compile(r"<\|python_tag\|>(.*?)(?:<\|eom_id\|>|<\|eot_id\|>|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code: the word after its fence, in lower case, and its text."""

    tag: str
    text: str


@dataclass(frozen=True)
class Reading:
    """An answer taken apart by one rule: its blocks, and the text around them, in their order."""

    blocks: tuple[Block, ...]
    around: tuple[str, ...]


def readings(answer: str) -> list[Reading]:
    """Return the ways to read an answer's fences, the likeliest first.

    They differ where a fence with a tag stands inside a block: it opens a block of its own (a block of Markdown that
    shows code), or it is text (code whose comments show a block), or the outermost fences alone count.
    """
    found = [_reading(answer, nested) for nested in (False, True)]
    if whole := _outermost(answer):
        found.append(Reading((whole,), ()))
    return list(dict.fromkeys(found))


def _reading(answer: str, nested: bool) -> Reading:
    blocks: list[Block] = []
    around: list[str] = []
    opened: re.Match[str] | None = None
    at = 0
    for found in _FENCE.finditer(answer):
        if opened is not None and _closes(found, opened):
            inside = answer[at : found.start("fence")]
            blocks.append(_block(opened, inside))
            opened, at = None, found.end()
        elif opened is None or (nested and _is_opener(found)):
            if opened is None and not _is_opener(found):
                continue
            if opened is None:
                around.append(answer[at : found.start("fence")])
            else:
                blocks.append(_block(opened, answer[at : found.start("fence")]))
            opened, at = found, found.end() + 1
    if opened is not None:
        blocks.append(_block(opened, answer[at:]))
    else:
        around.append(answer[at:])
    blocks += [Block("", each[1]) for each in _INLINE.finditer(answer)]
    return Reading(tuple(blocks), tuple(around))


def _is_opener(found: re.Match[str]) -> bool:
    """Whether a fence may open a block: nothing but a tag and its attributes follows on its line."""
    after = found["after"].strip()
    return "`" not in after and (not after or len(after.split()) <= 4)


def _closes(found: re.Match[str], opened: re.Match[str]) -> bool:
    """Whether a fence closes a block: it has the same sign, is no shorter, no further in by four, and ends its line."""
    margin = len(opened["before"]) - len(opened["before"].lstrip(" "))
    indent = len(found["before"]) - len(found["before"].lstrip(" "))
    alone = not found["before"].strip(" \t>")
    return (
        found["fence"].startswith(opened["fence"]) and not found["after"].strip() and (not alone or indent < margin + 4)
    )


def _block(opened: re.Match[str], inside: str) -> Block:
    tag = _TAG.match(opened["after"])
    before = opened["before"]
    quote = _QUOTE.match(before)
    text = inside
    if before and quote is not None and (quote.end() == len(before) or not before.strip(" \t>-*+0123456789.)")):
        text = _outdented(inside, before)
    return Block(tag[1].lower() if tag else "", text)


def _outdented(text: str, before: str) -> str:
    """Take from each line what stands before its block's fence: the marks of a quotation, and no more indentation."""
    margin, quoted = len(before), ">" in before
    lines = []
    for line in text.split("\n"):
        if quoted and (mark := _QUOTE.match(line)) and ">" in mark[0]:
            line = line[mark.end() :]
        else:
            line = line[min(margin, len(line) - len(line.lstrip(" "))) :]
        lines.append(line)
    return "\n".join(lines)


def _outermost(answer: str) -> Block | None:
    found = list(_FENCE.finditer(answer))
    openers = [each for each in found if _is_opener(each)]
    if len(found) < 3 or not openers or openers[0] is found[-1]:
        return None
    return _block(openers[0], answer[openers[0].end() + 1 : found[-1].start("fence")])


def wrapped(answer: str) -> Iterator[Block]:
    """Yield the code in wrappers other than fences: arguments of calls of tools, in JSON or XML, and brackets."""
    for found in _STRING.finditer(answer):
        if "\\n" in found[1] or '\\"' in found[1]:
            text = _unescaped(found[1])
            yield Block("", text)
            yield from (Block("", _unescaped(each[1])) for each in _STRING.finditer(text) if "\\n" in each[1])
    for pattern in (_ELEMENT, _BRACKETS):
        for found in pattern.finditer(answer):
            yield Block(found[1].lower(), _plain(found[2]))
    for found in _PYTHON_TAG.finditer(answer):
        yield Block("python", found[1])


def _unescaped(string: str) -> str:
    """Return the text of a JSON string, which may be cut off in an escape."""
    for cut in (0, 1, 2, 3, 4, 5):
        try:
            return str(json.loads(f'"{string[: len(string) - cut]}"', strict=False))
        except ValueError:
            continue
    return string.replace("\\n", "\n")


def _plain(text: str) -> str:
    """Return the text of an XML element."""
    text = text.strip("\n").removeprefix("<![CDATA[").removesuffix("]]>")
    return html.unescape(text) if "&lt;" in text or "&gt;" in text or "&amp;" in text or "&quot;" in text else text
