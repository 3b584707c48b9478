"""Perturbed tasks for lm-eval: `TASK@PERTURBATION[+PERTURBATION]` is TASK with other documents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset
from lm_eval.tasks._yaml_loader import load_yaml

from qharness.api.perturbations import Perturbation
from qharness.api.tasks import TaskConfig, no_prose
from qharness.errors import QHarnessError, SpecError, UnknownNameError
from qharness.evaluate.chat_task import ChatTask
from qharness.evaluate.perturb.prose_changes import ProseChange, perturb
from qharness.registry import TaskEntry, get_registry
from qharness.spec import parse_task, unbind
from qharness.specs import TaskName
from qharness.storage.atomic_writer import write_text

_NAMED = "perturbed"  # in a task's metadata: the task and its perturbations, whatever the task's own name


class PerturbedTask(ChatTask):
    """A task of ours whose documents' prose is perturbed, once, when they are first asked for.

    Its metadata say how: `perturbed`, the name, and `seed`, 0 by default.
    """

    def __init__(self, config: TaskConfig) -> None:
        metadata = config.get("metadata") or {}
        bound = bind_perturbations(str(metadata.get(_NAMED) or config["task"]))
        self.canonical, self._perturbations = bound.canonical, bound.perturbations
        self._prose_spans = bound.entry.source.prose_spans
        self._seed = int(metadata.get("seed") or 0)
        self._perturbed: dict[Any, Dataset] = {}
        self.changes: list[ProseChange] = []
        super().__init__(config=config)  # which looks at the documents: at the original ones
        self._original_docs = self._config.process_docs
        self._config.process_docs = self._perturb

    def build_all_requests(self, *, cache_requests: bool = False, **options: Any) -> None:
        """Make lm-eval's requests, never from its `--cache_requests`: their key lacks the seed."""
        super().build_all_requests(**options)

    def _perturb(self, docs: Dataset) -> Dataset:
        """The documents of one split, perturbed; remembered, for lm-eval asks again and again."""
        key = id(docs)
        if key not in self._perturbed:
            original = docs if self._original_docs is None else self._original_docs(docs)
            changes = perturb(list(original), self._prose_spans, self._perturbations, self._seed)
            self._perturbed[key] = Dataset.from_list([c.after for c in changes], features=original.features)
            self.changes += changes
        return self._perturbed[key]

    @property
    def notes(self) -> list[str]:
        """Counts of prompts and stretches that the perturbation left as they were."""
        total = len(self.changes)
        without = sum(change.stretches == 0 for change in self.changes)
        same = sum(change.before == change.after for change in self.changes) - without
        kept = sum(change.kept for change in self.changes)
        said = [
            (without, f"of {total} prompts have no prose and are as they were"),
            (same, f"of {total} prompts came out of their perturbation as they were"),
            (kept, "stretches of prose are as they were: what became of them would have broken the code round them"),
        ]
        return [f"{count} {text}" for count, text in said if count]


@dataclass(frozen=True)
class BoundPerturbations:
    """A perturbed task's name, parsed: the task, its YAML, and its perturbations in order of application."""

    base: str
    entry: TaskEntry
    perturbations: tuple[Perturbation, ...]

    @property
    def canonical(self) -> TaskName:
        """The name with each perturbation in its shortest spelling."""
        return TaskName(self.base, "+".join(str(unbind(each)) for each in self.perturbations))


def bind_perturbations(name: str) -> BoundPerturbations:
    """Parse `TASK@PERTURBATION[+PERTURBATION]`; raise UnknownNameError, SpecError or QHarnessError."""
    registry = get_registry()
    if family := registry.family(name):
        raise QHarnessError(f"task {TaskName.of(name).base!r} cannot be perturbed: {family.unperturbed}")
    base, specs = parse_task(name)
    if not specs:
        raise SpecError(f"{name!r} names no perturbation: the form is TASK@PERTURBATION[+PERTURBATION]")
    if base not in registry.tasks:
        raise UnknownNameError("task", base, registry.tasks, "lm-eval's own tasks cannot be perturbed")
    entry = registry.tasks[base].value
    if entry.source.prose_spans is no_prose:
        raise QHarnessError(f"task {base!r} cannot be perturbed: its plugin does not say where its prose stands")
    return BoundPerturbations(base, entry, tuple(registry.perturbation(spec) for spec in specs))


def configuration(name: str) -> TaskConfig:
    """The configuration from which lm-eval's TaskManager makes the task of a perturbed task's name."""
    base = load_yaml(bind_perturbations(name).entry.path, resolve_func=True)
    return {**base, "task": name, "class": PerturbedTask, "metadata": _metadata(base, name)}


def _metadata(base: TaskConfig, name: str) -> TaskConfig:
    return {**(base.get("metadata") or {}), _NAMED: name}


def write_yaml(name: str, path: Path, seed: int = 0) -> None:
    """Write a task YAML that any lm-eval beside this package loads; its `task:` may be renamed."""
    import yaml

    entry = bind_perturbations(name).entry
    base = load_yaml(entry.path, resolve_func=False)
    rest = {"include": str(entry.path), "task": name, "metadata": {**_metadata(base, name), "seed": seed}}
    function = f"class: !function {PerturbedTask.__module__}.{PerturbedTask.__name__}\n"
    write_text(path, function + yaml.safe_dump(rest, sort_keys=False))
