"""Values on their way into JSON and out of it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qharness.visible_text import visible_json

JsonObject = dict[str, Any]
"""An object as a JSON file holds it. Only code that reads or writes files, or prints JSON, handles one."""
_STRING_OR_INFINITY = re.compile(r'"(?:[^"\\]|\\.)*"|(?P<infinity>Infinity)')


def json_safe(value: Any) -> Any:
    """`value` with NaN as None, for JSON has none, and paths as text; goes through mappings and sequences."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): json_safe(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(each) for each in value]
    return value


def defined(value: float | None) -> float:
    """A number out of JSON, in which null stands for NaN."""
    return math.nan if value is None else float(value)


def json_text(document: Any, indent: int | None = None) -> str:
    """JSON that any encoding of Unicode can write: lone surrogates are escaped, and control characters.

    Other characters stand as they are. NaN is null. Infinity is 1e999, which readers of JSON take for infinity, since
    it overflows. A value that JSON has no form for is written as text.
    """
    text = json.dumps(json_safe(document), indent=indent, ensure_ascii=False, default=str)
    if "Infinity" in text:
        text = _STRING_OR_INFINITY.sub(lambda found: "1e999" if found["infinity"] else found[0], text)
    return visible_json(without_lone_surrogates(text))


def without_lone_surrogates(text: str) -> str:
    """`text` with lone surrogates, which UTF-8 has no bytes for, as escapes: `\\ud83d`, which JSON reads back."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
