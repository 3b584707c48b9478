"""`qharness new-plugin`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from qharness.cli.output import echo, registry
from qharness.errors import QHarnessError
from qharness.storage.atomic_writer import write_text
from qharness.storage.whole_folder import new_folder

TEMPLATES = Path(__file__).with_name("plugin-templates")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_PREFIX = "qharness-"
_SUFFIX = ".jinja"

PluginKind = Literal["quantizer", "calibration-set", "perturbation", "task", "language"]


@dataclass(frozen=True)
class _Offer:
    """What a kind is called, where the registry has its names, and a command that shows one at work."""

    what: str
    names: str
    try_it: str


_OFFERS: Mapping[str, _Offer] = {
    "quantizer": _Offer("quantizer", "quantizers", "qharness run --quant {} --task tiny-python"),
    "calibration-set": _Offer(
        "calibration set", "calibration_sets", "qharness run --quant int8-static --calib {} --task tiny-python"
    ),
    "perturbation": _Offer("perturbation", "perturbations", "qharness run --task tiny-python --perturb {}"),
    "task": _Offer("task", "tasks", "qharness run --quant rtn:3 --task {}"),
    "language": _Offer("language", "languages", "qharness list languages"),
}


@dataclass(frozen=True)
class _Plugin:
    """What the templates say: `qharness-my-thing`, `qharness_my_thing`, `my-thing`, `MyThing`."""

    distribution: str
    package: str
    name: str
    stem: str
    what: str
    try_it: str


def new_plugin(
    name: Annotated[str, typer.Argument(help="Of what it offers: lower-case words and digits, joined by dashes.")],
    kind: Annotated[PluginKind, typer.Option(help="What it offers.")] = "quantizer",
    output: Annotated[Path, typer.Option(help="Folder to make qharness-NAME in.")] = Path(),
) -> None:
    """Write a plugin package that works, with tests that pass, to start one of your own from."""
    plugin = _plugin(name.removeprefix(_PREFIX), kind)
    folder = output / plugin.distribution
    if folder.exists() or folder.is_symlink():
        raise QHarnessError(f"{folder} is there already: choose another name, or --output DIR")
    _write(plugin, kind, folder)
    echo(f"{folder}: {plugin.what} {plugin.name}")
    echo(f"    pip install -e '{folder}[test]' && pytest {folder}")
    echo(f"    {plugin.try_it}")


def _plugin(name: str, kind: str) -> _Plugin:
    """Raises QHarnessError for a name that cannot be one, or that is taken."""
    if not _NAME.fullmatch(name):
        raise QHarnessError(f"{name!r} is no name for a plugin: lower-case words and digits, joined by dashes")
    offer = _OFFERS[kind]
    taken = getattr(registry(), offer.names)
    if name in taken:
        raise QHarnessError(f"there is a {offer.what} {name!r} already, of {taken[name].plugin}: choose another name")
    distribution = _PREFIX + name
    stem = "".join(word.capitalize() for word in name.split("-"))
    return _Plugin(distribution, distribution.replace("-", "_"), name, stem, offer.what, offer.try_it.format(name))


def _write(plugin: _Plugin, kind: str, folder: Path) -> None:
    """Render the templates into `folder`, whole or not at all."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701
    names = {"package": plugin.package, "test_plugin.py": f"test_{plugin.package}.py"}
    with new_folder(folder, "") as scratch:
        for root in (TEMPLATES / "common", TEMPLATES / kind):
            for template in root.rglob(f"*{_SUFFIX}"):
                parts = template.relative_to(root).with_suffix("").parts
                target = scratch.joinpath(*(names.get(part, part) for part in parts))
                target.parent.mkdir(parents=True, exist_ok=True)
                text = template.read_text(encoding="utf-8")
                write_text(target, environment.from_string(text).render(asdict(plugin)))
