"""Reads JSON, JSON lines and TOML; an error is one line that names the file."""

from __future__ import annotations

import codecs
import gzip
import json
import sys
import tomllib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qharness.errors import QHarnessError
from qharness.storage.json_values import JsonObject

MAX_DEPTH = 200
"""The most levels of brackets: more than any real file has, few enough for recursive code."""
_NESTING = (dict, list)
_GZIP = b"\x1f\x8b"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # it begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class JsonError(ValueError):
    """Text that is not accepted as JSON. The message continues the name of its place: `is no JSON: ...`."""


def parse_json(text: str | bytes) -> Any:
    """Parse one JSON document; raises JsonError. Bytes are decoded as `decode` does.

    Lone surrogates, NaN and infinities are accepted, as by Python's json.
    """
    try:
        characters = decode(text) if isinstance(text, bytes) else text
        document = json.loads(characters)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise JsonError(f"is no JSON: {error.msg} at {line}column {error.colno}") from None
    except UnicodeDecodeError as error:
        raise JsonError(f"is no text in UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise JsonError(f"is nested in more than {MAX_DEPTH} levels of brackets") from None
    except ValueError:  # of int: Python's guard against numbers that take quadratic time
        raise JsonError(f"holds a number of more than {sys.get_int_max_str_digits()} digits") from None
    nesting = characters.count("[") + characters.count("{")  # at least as many as levels
    if nesting > MAX_DEPTH and _too_deep(document):
        raise JsonError(f"is nested in more than {MAX_DEPTH} levels of brackets")
    return document


def _too_deep(document: Any) -> bool:
    level = [document] if isinstance(document, _NESTING) else []
    for _ in range(MAX_DEPTH):
        values = (one.values() if isinstance(one, dict) else one for one in level)
        level = [each for some in values for each in some if isinstance(each, _NESTING)]
        if not level:
            return False
    return True


def decode(content: bytes) -> str:
    """Decode UTF-8, or the encoding of the byte order mark; accepts lone surrogates. Raises UnicodeDecodeError."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding)
    return content.decode("utf-8", "surrogatepass")


def read_text(path: Path, error_type: type[QHarnessError], name: str = "") -> str:
    """Read a file's text, which may be packed with gzip; raises `error_type`, naming `name`, or else the path."""
    try:
        content = path.read_bytes()
        return decode(gzip.decompress(content) if content.startswith(_GZIP) else content)
    except OSError as error:
        raise error_type(f"{name or path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise error_type(f"{name or path}, line {line} is no text in UTF-8: {error.reason}") from None
    except (EOFError, zlib.error) as error:
        raise error_type(f"{name or path} cannot be read: {error}") from None


def read_json(path: Path, error_type: type[QHarnessError]) -> Any:
    """Read the document of a JSON file; raises `error_type`, which names it."""
    try:
        return parse_json(read_text(path, error_type))
    except JsonError as error:
        raise error_type(f"{path} cannot be read: it {error}") from None


def json_lines(text: str, path: Path, error_type: type[QHarnessError]) -> Iterator[tuple[str, Any]]:
    """Parse each line that is not empty, as (file and line, document); raises `error_type`, which names them."""
    for number, line in enumerate(text.split("\n"), 1):  # a string may hold what else splitlines splits at
        if line.strip():
            place = f"{path}, line {number}"
            try:
                yield place, parse_json(line)
            except JsonError as error:
                raise error_type(f"{place} {error}") from None


def read_toml(path: Path, error_type: type[QHarnessError], name: str = "") -> JsonObject:
    """Read the document of a TOML file; raises `error_type`, which names it by `name`, or else the path."""
    text = read_text(path, error_type, name)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise error_type(f"{name or path} is no TOML: it is nested too deeply") from None
    except ValueError as error:
        raise error_type(f"{name or path} is no TOML: {error}") from None
