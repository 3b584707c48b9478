"""Finds plugins and makes their offers by name. Built-in plugins register as third parties' do, but earlier."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import pluggy

from qharness.api import hooks
from qharness.api.calibration_sets import CalibrationSet
from qharness.api.languages import Language, SourceFiles
from qharness.api.perturbations import Perturbation
from qharness.api.quantizers import Quantizer
from qharness.api.tasks import TaskFamily, TaskSource
from qharness.errors import PluginError, SpecError, UnknownNameError, first_line
from qharness.spec import Spec, bind, parse

T = TypeVar("T")

DEFAULT_PLUGINS = (
    "qharness.plugins.none",
    "qharness.plugins.aqlm",
    "qharness.plugins.bigcode",
    "qharness.plugins.corpora",
    "qharness.plugins.gguf",
    "qharness.plugins.int8",
    "qharness.plugins.hf",
    "qharness.plugins.rtn",
    "qharness.plugins.languages",
    "qharness.plugins.local_text",
    "qharness.plugins.perturbations",
    "qharness.tasks.code2text",
    "qharness.tasks.evalplus",
    "qharness.tasks.humaneval",
    "qharness.tasks.mbpp",
    "qharness.tasks.mceval",
    "qharness.tasks.multiple",
    "qharness.tasks.tiny",
)


@dataclass(frozen=True)
class Offer(Generic[T]):
    """Something that a plugin offers, with the plugin's name and the version of its distribution."""

    value: T
    plugin: str
    version: str


@dataclass(frozen=True)
class TaskEntry:
    """An lm-eval YAML of a task source. `packages`: the packages that its programs may import, as requirements.

    `language`: that of its programs, where its metadata says it (`programs`).
    """

    path: Path
    source: TaskSource
    summary: str
    packages: tuple[str, ...] = ()
    language: str | None = None


@dataclass(frozen=True)
class BrokenPlugin:
    """A third-party plugin that could not be imported, and the reason in one line."""

    name: str
    reason: str


@dataclass(frozen=True)
class Registry:
    """All offers of the plugins, by name. `plugins` maps a plugin's name to its distribution's version."""

    quantizers: Mapping[str, Offer[type[Quantizer]]]
    calibration_sets: Mapping[str, Offer[type[CalibrationSet]]]
    perturbations: Mapping[str, Offer[type[Perturbation]]]
    languages: Mapping[str, Offer[type[Language]]]
    tasks: Mapping[str, Offer[TaskEntry]]
    plugins: Mapping[str, str]
    families: Mapping[str, Offer[TaskFamily]] = field(default_factory=dict)
    broken: Sequence[BrokenPlugin] = ()

    def quantizer(self, spec: str) -> Quantizer:
        """Make the quantizer that a spec string names."""
        return _make(spec, self.quantizers, "quantizer")

    def calibration_set(self, spec: str) -> CalibrationSet:
        """Make the calibration set that a spec string names."""
        return _make(spec, self.calibration_sets, "calibration set")

    def perturbation(self, spec: str | Spec) -> Perturbation:
        """Make the perturbation that a spec names."""
        return _make(spec, self.perturbations, "perturbation")

    def task(self, name: str) -> TaskEntry:
        """The entry of a task of ours. Raises UnknownNameError."""
        return _find(name, self.tasks, "task")

    def family(self, task: str) -> TaskFamily | None:
        """Return the family that this task's name begins with, or None."""
        entry = self.families.get(task.partition(":")[0]) if ":" in task.partition("@")[0] else None
        return entry.value if entry else None

    def language(self, name: str, configured: Language | None = None) -> Language:
        """Make the language that a document names, with its default options: `c++` is a name and no spec string.

        Where `configured` is that language, with options of its own, return it.
        """
        if configured and configured.name == name:
            return configured
        return _find(name, self.languages, "language")()

    def configured_language(self, spec: str) -> Language:
        """Make the language that a spec string names, with its options."""
        return _make(spec, self.languages, "language")


def _make(spec: str | Spec, offers: Mapping[str, Offer[type[T]]], kind: str) -> T:
    parsed = parse(spec) if isinstance(spec, str) else spec
    return bind(parsed, _find(parsed.name, offers, kind))


def _find(name: str, offers: Mapping[str, Offer[T]], kind: str) -> T:
    if name not in offers:
        raise UnknownNameError(kind, name, offers)
    return offers[name].value


@cache
def get_registry() -> Registry:
    """Return the registry of this process: built-in and installed plugins."""
    return build_registry()


def source_suffixes(languages: str) -> dict[str, tuple[str, ...]]:
    """Return the endings of the names of source files, by language, of languages that stand with spaces between them.

    Raises UnknownNameError for a language that there is not, SpecError where none is named and for one whose files
    cannot be told by their names.
    """
    registry, found = get_registry(), dict[str, tuple[str, ...]]()
    for name in languages.split():
        language = registry.language(name)
        if not isinstance(language, SourceFiles):
            raise SpecError(f"language {name!r} does not say what its files' names end with, as by `suffixes`")
        found[name] = language.suffixes
    if not found:
        known = ", ".join(registry.languages)
        raise SpecError(f"languages names none: write one or more of {known}, with spaces between them")
    return found


def build_registry(
    defaults: Iterable[str] = DEFAULT_PLUGINS,
    entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
) -> Registry:
    """Load plugins and collect their offers.

    `entry_points` defaults to the installed ones of group `qharness`; those that fail to import end in `broken`. Raises
    PluginError for a hook that does not exist and for two plugins that offer one name.
    """
    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=hooks.PROJECT)
    manager = pluggy.PluginManager(hooks.PROJECT)
    manager.add_hookspecs(hooks)
    versions = {}
    for name in defaults:
        manager.register(importlib.import_module(name), name)
        versions[name] = own_version()
    broken = []
    for point in entry_points:
        try:
            manager.register(point.load(), point.name)
        except Exception as error:  # a plugin may fail in any way, and must not take the host down
            broken.append(BrokenPlugin(point.name, f"{type(error).__name__}: {first_line(error)}"))
        else:
            versions[point.name] = point.dist.version if point.dist else "unknown"
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        known = ", ".join(n for n in vars(hooks) if n.startswith("qharness_"))
        raise PluginError(f"{' '.join(str(error).split())}; the hooks are {known}") from None
    return _collect(manager, versions, broken)


@cache
def own_version() -> str:
    """Return the version of the installed qharness."""
    try:
        return importlib.metadata.version("qharness")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _collect(manager: pluggy.PluginManager, versions: dict[str, str], broken: list[BrokenPlugin]) -> Registry:
    """Call the hooks of all plugins; raise PluginError where two plugins offer one name."""

    def gather(hook: str, kind: str, names: Callable[[Any], Iterable[tuple[str, T]]]) -> dict[str, Offer[T]]:
        found: dict[str, Offer[T]] = {}
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            plugin = implementation.plugin_name
            for name, value in (each for offered in implementation.function() for each in names(offered)):
                if name in found:
                    both = f"{found[name].plugin} and {plugin}"
                    raise PluginError(f"{kind} {name!r} is offered by two plugins, {both}: uninstall one")
                found[name] = Offer(value, plugin, versions[plugin])
        return dict(sorted(found.items()))

    return Registry(
        quantizers=gather("qharness_quantizers", "quantizer", _named),
        calibration_sets=gather("qharness_calibration_sets", "calibration set", _named),
        perturbations=gather("qharness_perturbations", "perturbation", _named),
        languages=gather("qharness_languages", "language", _named),
        tasks=gather("qharness_tasks", "task", _task_entries),
        families=gather("qharness_tasks", "family of tasks", _families),
        plugins=versions,
        broken=broken,
    )


def _named(offered: Any) -> Iterable[tuple[str, Any]]:
    return [(offered.name, offered)]


def declared_packages(metadata: Mapping[str, object]) -> tuple[str, ...]:
    """Return the packages in a task's metadata. Raises TypeError for anything but a list of names."""
    declared = metadata.get("packages") or []
    if not isinstance(declared, list) or not all(isinstance(each, str) for each in declared):
        raise TypeError(f"metadata's packages are {declared!r}, and must be a list such as [numpy]")
    return tuple(declared)


def _families(source: TaskSource | TaskFamily) -> Iterable[tuple[str, TaskFamily]]:
    return [(source.name, source)] if isinstance(source, TaskFamily) else []


def _task_entries(source: TaskSource | TaskFamily) -> Iterable[tuple[str, TaskEntry]]:
    """Yield (name, entry) of each YAML in a source's folder. Raises PluginError, with the path, for any other."""
    if isinstance(source, TaskFamily):
        return
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads lm-eval's YAMLs without importing the functions that they name."""

    Loader.add_constructor("!function", lambda loader, node: str(node.value))
    for path in sorted(source.folder.glob("*.yaml")):
        try:
            config = yaml.load(path.read_text(encoding="utf-8"), Loader)  # noqa: S506 - a SafeLoader
            metadata = config.get("metadata") or {}
            summary, language = metadata.get("summary", ""), metadata.get("programs")
            yield config["task"], TaskEntry(path, source, summary, declared_packages(metadata), language)
        except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            raise PluginError(f"{path} is no lm-eval task: {' '.join(str(error).split())}") from None
