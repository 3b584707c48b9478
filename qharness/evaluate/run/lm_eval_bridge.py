"""Loads lm-eval's tasks by name, registers our model class and tasks with it, and silences it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness.api.languages import Language, Toolchain
from qharness.api.tasks import TaskConfig
from qharness.errors import DataError, PluginError, QHarnessError, UnknownNameError, first_line
from qharness.evaluate.run.task_index import cached_task_index
from qharness.execution.toolchains import find_toolchain
from qharness.filters import check_document, run_programs
from qharness.models.replaced_names import replaced
from qharness.progress import Verbosity, verbosity
from qharness.registry import Registry, declared_packages, get_registry
from qharness.spec import unbind
from qharness.specs import TaskName

if TYPE_CHECKING:
    from lm_eval.api.task import Task
    from lm_eval.tasks import TaskManager

MODEL = "qharness"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep lm-eval's and transformers' talk off standard output, and all but errors off standard error."""
    import datasets
    import lm_eval.api.model
    import lm_eval.api.task
    import lm_eval.evaluator
    import transformers

    for name in ("lm_eval", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    transformers.utils.logging.set_verbosity_error()
    if not sys.stderr.isatty() or verbosity() is Verbosity.QUIET:
        transformers.utils.logging.disable_progress_bar()  # and the Hub's, which show what is fetched
    datasets.disable_progress_bars()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with (
        contextlib.redirect_stdout(sys.stderr),
        replaced(lm_eval.api.task, "tqdm", lambda items, **_: items),  # bars over prompts, done at once
        replaced(lm_eval.api.model, "tqdm", lambda items, **_: items),
        replaced(lm_eval.evaluator, "get_git_commit_hash", lambda: None),  # asks git of whatever folder we are in
    ):
        yield


def register_model() -> None:
    """Register our model class with lm-eval, after its own, which it imports only into an empty registry."""
    import lm_eval.models
    from lm_eval.api.registry import model_registry

    from qharness.quantization.lm_eval_model import QHarnessLM

    if MODEL not in model_registry:
        lm_eval.api.registry.register_model(MODEL)(QHarnessLM)


def task_folders(registry: Registry) -> list[str]:
    """The folders of all task sources."""
    return sorted({str(entry.value.source.folder) for entry in registry.tasks.values()})


@dataclass(frozen=True)
class LoadedTask:
    """A name of lm-eval's with the Task objects it stands for (several, where it is a group) and their manager.

    `language`: one of the programs' languages, where it is to have options other than its default ones.
    """

    name: str
    manager: TaskManager
    objects: list[Any]
    tasks: dict[str, Task]
    language: Language | None = None

    def with_language(self, spec: str | None) -> LoadedTask:
        """The same task, whose programs in a language are run with the options in its spec string; None: as it is.

        Raises SpecError, UnknownNameError, or QHarnessError where the task has no programs in that language.
        """
        if spec is None:
            return self
        language = get_registry().configured_language(spec)
        if language.name not in self.languages:
            has = f"in {', '.join(self.languages)}" if self.languages else "in no language"
            raise QHarnessError(
                f"--language {spec}: task {self.name!r} has programs {has}, and none in {language.name}"
            )
        return dataclasses.replace(self, language=language)

    @property
    def language_spec(self) -> str | None:
        """The shortest spec string of `language`; None where its options are the default ones."""
        spec = unbind(self.language) if self.language else None
        return str(spec) if spec and (spec.args or spec.kwargs) else None

    @property
    def notes(self) -> list[str]:
        """The tasks' own notes for a reader of a run."""
        return [note for task in self.tasks.values() for note in getattr(task, "notes", [])]

    @property
    def canonical(self) -> TaskName:
        """Its name with perturbations in their shortest spelling."""
        found = (task.canonical for task in self.tasks.values() if hasattr(task, "canonical"))
        return next(found, TaskName(self.name))

    @cached_property
    def toolchains(self) -> dict[str, Toolchain]:
        """The toolchain of each language, looked for once, with the task's packages. Raises MissingDependencyError."""
        registry = get_registry()
        return {name: find_toolchain(registry.language(name, self.language), self.packages) for name in self.languages}

    @cached_property
    def languages(self) -> list[str]:
        """The languages whose programs the task runs; none for a task that runs no programs."""
        found: dict[str, None] = {}
        for task in self.tasks.values():
            docs = task.eval_docs
            if {"language", "tests", "prompt"} <= set(getattr(docs, "features", ())):
                found.update(dict.fromkeys(docs["language"]))
        return list(found)

    @cached_property
    def packages(self) -> tuple[str, ...]:
        """The packages that the task's programs ask for, as requirements."""
        found: dict[str, None] = {}
        for task in self.tasks.values():
            if "packages" in getattr(task.eval_docs, "features", ()):
                found.update(dict.fromkeys(name for names in task.eval_docs["packages"] for name in names or ()))
        return tuple(found)


def load_task(name: str, data_dir: Path | None = None, seed: int = 0) -> LoadedTask:
    """Load one of our tasks, or any other that lm-eval knows, with its data.

    A name may be perturbed, `TASK@PERTURBATION[+PERTURBATION]`, with `seed`, or `NAME:TASK` of a family. lm-eval's own
    index is built only for a name that is not ours, and cached: it takes seconds. Raises UnknownNameError, DataError if
    the data cannot be loaded, or MissingDependencyError.
    """
    from lm_eval.tasks import TaskManager

    from qharness.evaluate.run.dynamic_tasks import configuration

    registry = get_registry()
    with quiet():
        named = configuration(name)
    ours = name in registry.tasks or named is not None
    metadata: TaskConfig = {"data_dir": str(data_dir)} if data_dir else {}
    if "@" in name:
        metadata["seed"] = seed
    with quiet(), cached_task_index():
        manager = TaskManager(include_path=task_folders(registry), include_defaults=not ours, metadata=metadata)
        if not named and name not in manager.all_tasks:
            hint = "`qharness list tasks` shows ours, `qharness lm-eval ls tasks` all"
            raise UnknownNameError("task", name, [*registry.tasks, *manager.all_tasks], hint)
        try:
            loaded = manager.load([named or name])
        except QHarnessError:
            raise
        except Exception as error:  # whatever a task's own code or the Hub raises, its data is what failed
            if ours:
                raise
            said = f"{type(error).__name__}: {first_line(error)}"
            raise DataError(f"task {name!r}: lm-eval could not load its data: {said}") from error
    groups = loaded.get("groups", {})
    objects = [groups[name]] if name in groups else list(loaded["tasks"].values())
    task = LoadedTask(name, manager, objects, loaded["tasks"])
    if ours:
        _check_packages(task)
    check_documents(task)
    return task


def check_documents(loaded: LoadedTask) -> None:
    """Raise DataError for a document whose programs could not be made or judged; it would be the model's failure."""
    for task in loaded.tasks.values():
        steps = (step for each in task.get_config("filter_list") or [] for step in each["filter"])
        if any(step.get("filter_fn") is run_programs for step in steps):
            for number, doc in enumerate(task.eval_docs):
                check_document(doc, f"task {loaded.name!r}: document {number}", named=True)


def _check_packages(loaded: LoadedTask) -> None:
    """Raise PluginError where a YAML declares packages that its documents lack: filters see documents alone."""
    for task in loaded.tasks.values():
        declared = declared_packages(task.get_config("metadata") or {})
        if lost := sorted(set(declared) - set(loaded.packages)):
            raise PluginError(
                f"task {loaded.name!r}: metadata asks for packages {', '.join(lost)} that its documents do not have: "
                "pass `packages` on to qharness.test_split"
            )
