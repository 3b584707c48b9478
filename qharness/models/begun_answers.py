"""Finds what follows the words that an assistant's answer was begun with, whether the server went on from them or not.

One server continues the begun message and gives the rest, another gives the whole message, and a third writes a new
message of its own, in which the same fence opens a block of code.
"""

from __future__ import annotations

import re

_FENCE = "```"
_OPENING = re.compile(r"^ {0,3}```[ \t]*[A-Za-z][^\n`]*\n", re.MULTILINE)


def after_prefix(text: str, prefix: str) -> str:
    """The part of an answer after `prefix`, or all of it where it goes on from there.

    Where the prefix is a fence, a tagged fence that is the answer's first one is taken for it: what goes on inside a
    block can only close one first.
    """
    begun = prefix.strip()
    if not begun:
        return text
    if text.lstrip().startswith(begun):
        rest = text.lstrip()[len(begun) :]
        return rest.removeprefix("\r").removeprefix("\n") if prefix.endswith("\n") else rest
    opening = _OPENING.search(text) if begun.startswith(_FENCE) else None
    return text[opening.end() :] if opening and _FENCE not in text[: opening.start()] else text
