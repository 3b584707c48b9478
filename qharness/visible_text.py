r"""Text from outside on its way to a terminal or a file: what acts without being seen is written so that it is seen.

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
    """One line: tabs and line ends are escapes as well."""
    return _ONE_LINE.sub(_escape, text)


def visible_lines(text: str) -> str:
    """Text of several lines: its tabs and line feeds stay."""
    return _LINES.sub(_escape, text)


def visible_json(text: str) -> str:
    """A JSON document in which such characters are JSON's escapes, with the same content; it may be indented."""
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def csv_cell(text: str) -> str:
    """A text as a cell that a spreadsheet takes for a text: what would be a formula begins with an apostrophe.

    A number stays as it is.
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
