"""Finds what follows the words that an assistant's answer was begun with, whether the server went on from them or not.

One server continues the begun message and gives the rest, another gives the whole message, and a third writes a new
message of its own, in which the same fence opens a block of code.
"""

from __future__ import annotations

import re

_FENCE = "```"
_TAGGED = re.compile(r"^ {0,3}```[ \t]*[A-Za-z][^\n`]*\n", re.MULTILINE)
_ANY = re.compile(r"^ {0,3}```[^\n`]*\n", re.MULTILINE)


def after_prefix(text: str, prefix: str, *, may_continue: bool = True) -> str:
    """The part of an answer after `prefix`, or all of it where it goes on from there, if it may.

    Where the prefix is a fence, the answer's first fence is taken for it. In an answer that may go on inside the block,
    a first fence without a tag closes it, and only one with a tag opens another.
    """
    begun = prefix.strip()
    if not begun:
        return text
    if text.lstrip().startswith(begun):
        rest = text.lstrip()[len(begun) :]
        return rest.removeprefix("\r").removeprefix("\n") if prefix.endswith("\n") else rest
    opening = (_TAGGED if may_continue else _ANY).search(text) if begun.startswith(_FENCE) else None
    return text[opening.end() :] if opening and _FENCE not in text[: opening.start()] else text
