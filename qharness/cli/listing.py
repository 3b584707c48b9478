"""`qharness list`. Answers in under a second: neither torch nor lm-eval is imported."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any, get_type_hints

import typer

from qharness.cli.options import OUTPUT, Json
from qharness.cli.output import echo, print_json, print_table, registry
from qharness.errors import QHarnessError
from qharness.models.presets import PRESETS, Preset
from qharness.registry import DEFAULT_PLUGINS, Offer, Registry


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
        bool,
        typer.Option(
            "--path", help="With tasks: the folder of our own, for lm-eval's --include_path.", rich_help_panel=OUTPUT
        ),
    ] = False,
    json: Json = False,
) -> None:
    """What the plugins offer: names, summaries, options. `presets`: short names for --model."""
    if kind is ListedKind.PRESETS:
        _print_presets(json)
        return
    found = registry()
    if path:
        if kind is not ListedKind.TASKS:
            raise QHarnessError("--path goes with `qharness list tasks`")
        echo(_own_folder(found))
        return
    listed = {each.value: rows for each, rows in _offers(found).items() if kind in (None, each)}
    if json:
        print_json({name: [asdict(row) for row in rows] for name, rows in listed.items()})
        return
    for name, rows in listed.items():
        print_table((name, "", "plugin"), [(r.usage, r.summary, f"{r.plugin} {r.version}") for r in rows])


def _print_presets(json: bool) -> None:
    fields = ("name", "id", "parameters", "dtype", "task", "paper", "family", "chat", "tried")
    rows = [{field: getattr(preset, field) for field in fields} for preset in PRESETS.values()]
    if json:
        print_json({ListedKind.PRESETS.value: rows})
        return
    shown = ("name", "id", "parameters", "dtype", "task", "chat", "of", "tried")
    print_table(shown, [_preset_row(preset) for preset in PRESETS.values()])


def _preset_row(preset: Preset) -> tuple[str, ...]:
    """A preset's cells; the words of `tried` stand in the JSON document."""
    chat, tried = ("yes" if each else "" for each in (preset.chat, preset.tried))
    of = preset.paper or preset.family
    return preset.name, preset.id, preset.parameters, preset.dtype, preset.task, chat, of, tried


def _own_folder(found: Registry) -> str:
    """Return the folder that holds the built-in tasks: lm-eval's --include_path takes one, and searches below it."""
    return os.path.commonpath([e.value.source.folder for e in found.tasks.values() if e.plugin in DEFAULT_PLUGINS])


@dataclass(frozen=True)
class _ListedOption:
    """One option of a plugin's spec string. `type`: its annotation as text; `default`: None where it is required."""

    name: str
    type: str
    default: object
    required: bool
    help: str


@dataclass(frozen=True)
class _Listed:
    """One thing that a plugin offers."""

    name: str
    summary: str
    options: tuple[_ListedOption, ...]
    plugin: str
    version: str

    @property
    def usage(self) -> str:
        """Its spec string, with the options' defaults, or their names in capitals where they are required."""
        options = ",".join(f"{o.name}={o.default}" if not o.required else o.name.upper() for o in self.options)
        return f"{self.name}:{options}" if options else self.name


@dataclass(frozen=True)
class _ListedTask(_Listed):
    """A task: its YAML's path, None for those of another harness, and the packages that its programs import."""

    path: str | None
    packages: tuple[str, ...]


def _offers(found: Registry) -> dict[ListedKind, list[_Listed]]:
    """Return what the plugins offer, by kind."""
    tasks: list[_Listed] = []
    for name, task in found.tasks.items():
        value = task.value
        tasks.append(_ListedTask(name, value.summary, (), task.plugin, task.version, str(value.path), value.packages))
    for name, family in found.families.items():
        if importlib.util.find_spec(family.value.module):
            about = (f"{name}:TASK", family.value.summary, (), family.plugin, family.version)
            tasks.append(_ListedTask(*about, None, ()))
    return {
        ListedKind.QUANTIZERS: _classes(found.quantizers),
        ListedKind.CALIBRATION_SETS: _classes(found.calibration_sets),
        ListedKind.PERTURBATIONS: _classes(found.perturbations),
        ListedKind.TASKS: tasks,
        ListedKind.LANGUAGES: _classes(found.languages),
        ListedKind.PLUGINS: [_Listed(name, "", (), name, version) for name, version in found.plugins.items()],
    }


def _classes(offers: Mapping[str, Offer[type[Any]]]) -> list[_Listed]:
    rows = []
    for name, offer in offers.items():
        summary = (inspect.getdoc(offer.value) or "").split("\n")[0]
        options = tuple(_option(offer.value, field) for field in dataclasses.fields(offer.value))
        rows.append(_Listed(name, summary, options, offer.plugin, offer.version))
    return rows


def _option(cls: type[Any], field: dataclasses.Field[Any]) -> _ListedOption:
    hint = get_type_hints(cls)[field.name]
    text = getattr(hint, "__name__", str(hint)) if isinstance(hint, type) else str(hint).removeprefix("typing.")
    required = field.default is dataclasses.MISSING
    default = None if required else field.default
    return _ListedOption(field.name, text, default, required, field.metadata.get("help", ""))
