"""Writes docs/options.md, every option of every built-in plugin, from the classes: `make docs-tables`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from qharness.registry import Offer, Registry, build_registry

PAGE = Path(__file__).parents[1] / "options.md"
HEAD = """# Options of every built-in plugin

Made from the plugins' classes by `docs/tools/options.py`; `qharness list` shows the same. Options are positional in
this order, or `name=value` ([concepts](concepts.md#spec-strings)).
"""


def render(registry: Registry) -> str:
    """The page."""
    kinds: list[tuple[str, str, Mapping[str, Offer[type[Any]]]]] = [
        ("Quantizers", "quantizers.md", registry.quantizers),
        ("Calibration sets", "calibration.md", registry.calibration_sets),
        ("Perturbations", "perturbations.md", registry.perturbations),
        ("Languages", "languages.md", registry.languages),
    ]
    parts = [HEAD]
    for title, page, entries in kinds:
        parts.append(f"## {title}\n\nWhat they do: [{title.lower()}]({page}).\n")
        parts += [_plugin(name, entry.value) for name, entry in entries.items()]
    return "\n".join(parts)


def _plugin(name: str, cls: type[Any]) -> str:
    summary = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
    hints = get_type_hints(cls)
    rows = [_row(field, hints[field.name]) for field in dataclasses.fields(cls)]
    head = ["| option | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join([f"### {name}\n", f"{summary}\n", *([*head, *rows, ""] if rows else ["No options.\n"])])


def _row(field: dataclasses.Field[Any], hint: Any) -> str:
    default = "required" if field.default is dataclasses.MISSING else f"`{_value(field.default)}`"
    cells = (f"`{field.name}`", _type(hint), default, field.metadata.get("help", ""))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(hint: Any) -> str:
    """A type in words that do not depend on Python's version: a Literal is its values."""
    if get_origin(hint) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(hint))
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_type(each) for each in get_args(hint))
    return "`None`" if hint is type(None) else f"`{hint.__name__}`"


def _value(default: Any) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default)


if __name__ == "__main__":
    PAGE.write_text(render(build_registry(entry_points=())), encoding="utf-8")
