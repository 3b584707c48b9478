r"""Escapes characters of outside text that act without being seen, on its way to a terminal or a file.

The name of a model, a line of a checkpoint or a completion may hold control characters, which a terminal obeys (ESC
moves, colours, renames and, on some, types), line ends, which make one line look like two, and marks that turn the
direction of writing, which make a name look like another. They become escapes: `\x1b`, `\u202e`.
"""

from __future__ import annotations

import re

_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_SEPARATORS = "\u2028\u2029"
_LATER = f"\x7f-\x9f{_DIRECTIONS}{_SEPARATORS}"
_ONE_LINE = re.compile(f"[\x00-\x1f{_LATER}]")
_LINES = re.compile(f"[\x00-\x08\x0b-\x1f{_LATER}]")
_IN_JSON = re.compile(f"[{_LATER}]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def visible(text: str) -> str:
    """Return the text as one line: tabs and line ends are escapes too."""
    return _ONE_LINE.sub(_escape, text)


def visible_lines(text: str) -> str:
    """Return the text with its tabs and line feeds, and other such characters as escapes."""
    return _LINES.sub(_escape, text)


def visible_json(text: str) -> str:
    """Return a JSON document with such characters as JSON's escapes and the same content; it may be indented."""
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def csv_cell(text: str) -> str:
    """Return a text as a spreadsheet's cell: an apostrophe precedes what a spreadsheet would take for a formula.

    Numbers stay as they are.
    """
    shown = visible_lines(text)
    return f"'{shown}" if text.startswith(_FORMULA) and not _is_number(text) else shown


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
