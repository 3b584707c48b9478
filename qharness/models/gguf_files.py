"""Finds the GGUF file that a user names by itself, or by its folder."""

from __future__ import annotations

from pathlib import Path

from qharness.errors import ModelError

_SUFFIX = ".gguf"


def is_gguf_name(name: str) -> bool:
    """Whether a name is that of a GGUF file."""
    return name.lower().endswith(_SUFFIX)


def find_gguf(place: Path) -> Path | None:
    """Find a GGUF file: `place` itself, or the only one in a folder without a config.json; None if there is none.

    Raises ModelError for a folder of several.
    """
    if place.is_file():
        return place if is_gguf_name(place.name) else None
    if not place.is_dir() or (place / "config.json").is_file():
        return None
    found = sorted(path for path in place.iterdir() if is_gguf_name(path.name) and path.is_file())
    if len(found) > 1:
        raise ModelError(f"{place} has {len(found)} GGUF files, name one: {', '.join(path.name for path in found)}")
    return found[0] if found else None
