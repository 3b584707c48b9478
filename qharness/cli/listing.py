"""`qharness list`. Answers in under a second: neither torch nor lm-eval is imported."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import os
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, get_type_hints

import typer

from qharness.cli.options import Json
from qharness.cli.output import echo, print_json, print_table, registry
from qharness.errors import QHarnessError
from qharness.models.presets import PRESETS
from qharness.registry import DEFAULT_PLUGINS, Offer, Registry, TaskEntry


class ListedKind(StrEnum):
    """What there is to list."""

    QUANTIZERS = "quantizers"
    CALIBRATION_SETS = "calibration-sets"
    PERTURBATIONS = "perturbations"
    TASKS = "tasks"
    LANGUAGES = "languages"
    PLUGINS = "plugins"
    PRESETS = "presets"


def list_(
    kind: Annotated[ListedKind | None, typer.Argument(help="Only these; all that plugins offer by default.")] = None,
    path: Annotated[
        bool, typer.Option("--path", help="With tasks: the folder of our own, for lm-eval's --include_path.")
    ] = False,
    json: Json = False,
) -> None:
    """What the plugins offer: names, summaries, options. `presets`: the papers' models, names for --model."""
    if kind is ListedKind.PRESETS:
        _print_presets(json)
        return
    found = registry()
    if path:
        if kind is not ListedKind.TASKS:
            raise QHarnessError("--path goes with `qharness list tasks`")
        echo(_own_folder(found))
        return
    document = {each.value: rows for each, rows in _document(found).items() if kind in (None, each)}
    if json:
        print_json(document)
        return
    for name, rows in document.items():
        print_table(
            (name, "", "plugin"), [(_usage(row), row["summary"], f"{row['plugin']} {row['version']}") for row in rows]
        )


def _print_presets(json: bool) -> None:
    fields = ("name", "id", "parameters", "dtype", "task", "paper")
    rows = [{field: getattr(preset, field) for field in fields} for preset in PRESETS.values()]
    if json:
        print_json({ListedKind.PRESETS.value: rows})
    else:
        print_table(fields, [tuple(row.values()) for row in rows])


def _own_folder(found: Registry) -> str:
    """The one folder that holds the built-in tasks: lm-eval's --include_path takes one, and searches below it."""
    return os.path.commonpath([e.value.source.folder for e in found.tasks.values() if e.plugin in DEFAULT_PLUGINS])


def _document(found: Registry) -> dict[ListedKind, list[dict[str, Any]]]:
    return {
        ListedKind.QUANTIZERS: _classes(found.quantizers),
        ListedKind.CALIBRATION_SETS: _classes(found.calibration_sets),
        ListedKind.PERTURBATIONS: _classes(found.perturbations),
        ListedKind.TASKS: [
            _row(name, entry, entry.value.summary)
            | {"path": str(entry.value.path), "packages": list(entry.value.packages)}
            for name, entry in found.tasks.items()
        ]
        + [
            _row(f"{name}:TASK", entry, entry.value.summary) | {"path": None, "packages": []}
            for name, entry in found.families.items()
            if importlib.util.find_spec(entry.value.module)
        ],
        ListedKind.LANGUAGES: _classes(found.languages),
        ListedKind.PLUGINS: [
            {"name": name, "summary": "", "options": [], "plugin": name, "version": version}
            for name, version in found.plugins.items()
        ],
    }


def _row(name: str, entry: Offer[Any] | Offer[TaskEntry], summary: str) -> dict[str, Any]:
    return {"name": name, "summary": summary, "options": [], "plugin": entry.plugin, "version": entry.version}


def _classes(entries: Mapping[str, Offer[type[Any]]]) -> list[dict[str, Any]]:
    rows = []
    for name, entry in entries.items():
        row = _row(name, entry, (inspect.getdoc(entry.value) or "").split("\n")[0])
        row["options"] = [_option(entry.value, field) for field in dataclasses.fields(entry.value)]
        rows.append(row)
    return rows


def _option(cls: type[Any], field: dataclasses.Field[Any]) -> dict[str, Any]:
    hint = get_type_hints(cls)[field.name]
    required = field.default is dataclasses.MISSING
    return {
        "name": field.name,
        "type": getattr(hint, "__name__", str(hint)) if isinstance(hint, type) else str(hint).removeprefix("typing."),
        "default": None if required else field.default,
        "required": required,
        "help": field.metadata.get("help", ""),
    }


def _usage(row: dict[str, Any]) -> str:
    options = ",".join(
        f"{o['name']}={o['default']}" if not o["required"] else o["name"].upper() for o in row.get("options", [])
    )
    return f"{row['name']}:{options}" if options else str(row["name"])
