"""Tasks that are described by their name and no YAML: perturbed ones, and those of other harnesses."""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from qharness.api.tasks import TaskConfig
from qharness.errors import MissingDependencyError, PluginError, UnknownNameError, first_line
from qharness.evaluate.perturb.perturbed_task import configuration as perturbed_configuration
from qharness.evaluate.perturb.perturbed_task import write_yaml as write_perturbed
from qharness.registry import get_registry
from qharness.specs import TaskName


def configuration(name: str) -> TaskConfig | None:
    """The configuration from which lm-eval's TaskManager makes the task of such a name; None for any other.

    Raises MissingDependencyError where a family's package is not installed, PluginError where it does not import,
    UnknownNameError for a task it has not, or an error of `bind_perturbations`.
    """
    if "@" in name:
        return perturbed_configuration(name)
    family = get_registry().family(name)
    if family is None:
        return None
    if importlib.util.find_spec(family.module) is None:
        raise MissingDependencyError(family.module, family.install)
    try:
        known = [f"{family.name}:{each}" for each in family.names()]
    except ImportError as error:  # of what it needs itself
        raise PluginError(f"{family.module} does not import: {first_line(error)}") from error
    if name not in known:
        raise UnknownNameError("task", name, known)
    return family.configuration(name)


def is_named(name: str) -> bool:
    """Whether a word is the name of such a task: it begins with a task's or a family's."""
    registry = get_registry()
    return registry.family(name) is not None or ("@" in name and TaskName.of(name).base in registry.tasks)


@contextlib.contextmanager
def folder_of(names: Sequence[str]) -> Iterator[Path]:
    """A temporary folder with YAMLs of these tasks."""
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(names):
            _write(name, Path(folder, f"{number}.yaml"))
        yield Path(folder)


def _write(name: str, path: Path) -> None:
    import yaml

    if "@" in name:
        write_perturbed(name, path)
        return
    found = configuration(name) or {}
    made = found.pop("class")
    path.write_text(f"class: !function {made.__module__}.{made.__name__}\n{yaml.safe_dump(found)}", encoding="utf-8")
