"""A run that is planned: its model resolved, its task loaded, its sampling settled, and the folder it lives in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qharness.errors import QHarnessError
from qharness.evaluate.run.lm_eval_bridge import LoadedTask
from qharness.evaluate.run.run_folder import JOURNAL, LOCK, RUN, Journal, folder_name, read_run, relatives
from qharness.filters import ExecutionOptions
from qharness.models.decoding import Decoding
from qharness.models.lm_interface import DEPENDENT_BATCH_SIZE
from qharness.progress import note
from qharness.quantization.resolution import ResolvedModel
from qharness.registry import own_version
from qharness.specs import RunSpec, Sampling
from qharness.storage.json_values import JsonObject
from qharness.storage.locks import claimed_elsewhere, locked

if TYPE_CHECKING:
    from lm_eval.api.task import Task


@dataclass(frozen=True)
class PlannedRun:
    """A run to be made. `spec` is the request as it is recorded, every default filled in."""

    spec: RunSpec
    model: ResolvedModel
    task: LoadedTask
    folder: Path

    @property
    def execution(self) -> ExecutionOptions:
        """The way in which its programs are run."""
        return ExecutionOptions(
            self.spec.allow_unsandboxed, True, self.task.packages, self.task.toolchains, self.task.language
        )


def plan_run(spec: RunSpec, model: ResolvedModel, task: LoadedTask) -> PlannedRun:
    """Set the task to the spec's sampling, fill in the task's own, and name the run's folder."""
    _set_sampling(spec.task, spec.sampling, task)
    sampling = _sampling_of(task) or spec.sampling
    whole = replace(spec.settled(model.spec, sampling), language=task.language_spec)
    parts = (*model.name_parts, task.canonical.perturbation or "none", task.canonical.base, *(["chat"] * spec.chat))
    extent = {"samples": whole.samples, "limit": whole.limit}
    if whole.drawn:  # of as many as were needed: one folder, whose run grows
        extent["order"] = whole.drawn.order
    return PlannedRun(whole, model, task, spec.output / folder_name(parts, _key(whole, model, task), extent))


def count_completions(run: PlannedRun) -> tuple[int, int]:
    """How many completions a run makes in all, and how many of these are in its journal and those of its relatives."""
    limit, samples = run.spec.limit, run.spec.samples or 1
    sizes = [min(len(task.eval_docs), limit or len(task.eval_docs)) for task in _generative(run.task)]
    others = [] if run.model.quantizer.batch_dependent else relatives(run.folder)
    journal = Journal(run.folder / JOURNAL, [folder / JOURNAL for folder in others])
    most = max(sizes, default=0)
    found = sum(document < most and sample < samples for document, sample, _ in journal.completions)
    return samples * sum(sizes), found


def _key(spec: RunSpec, model: ResolvedModel, task: LoadedTask) -> dict[str, object]:
    """All that decides a run's completions and verdicts, but for how many there are."""
    key = {
        **model.key(),
        "task": str(task.canonical),  # one run, however its name spells it
        "temperature": spec.temperature,
        "top_p": spec.top_p,
        "max_new_tokens": spec.max_new_tokens,
        "qharness": own_version(),
    }
    if spec.backend != "hf":  # left out, so that runs from before there was another are found
        key["backend"] = spec.backend
    if spec.chat:  # likewise
        key["chat"] = {"system": spec.system, "think": spec.think}
    if spec.language:  # likewise; it decides verdicts
        key["language"] = spec.language
    if model.quantizer.batch_dependent:
        key["batch_size"] = spec.batch_size or DEPENDENT_BATCH_SIZE
    return key


@contextmanager
def claimed(run: PlannedRun, *, wait: bool) -> Iterator[JsonObject | None]:
    """Make a run's folder and keep others from it; where one is at it, wait for it or raise BusyError.

    Gives the run's document if it was made meanwhile; None if it is still to be made.
    """
    try:
        run.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise QHarnessError(f"--output {run.spec.output} cannot be written: {error.strerror}") from None
    lock = run.folder / LOCK
    with locked(lock, str(run.folder), wait=wait), claimed_elsewhere(run.folder, wait=wait):
        yield read_run(run.folder)
        if (run.folder / RUN).exists():  # whoever locks it now finds the run whole, whichever file it locks
            with suppress(OSError):
                lock.unlink()


def _generative(task: LoadedTask) -> list[Task]:
    return [each for each in task.tasks.values() if each.get_config("output_type") == "generate_until"]


def _set_sampling(name: str, sampling: Sampling, loaded: LoadedTask) -> None:
    """Set lm-eval's tasks to a sampling, where it says something. Raises QHarnessError for options without effect."""
    generative = _generative(loaded)
    if not generative and sampling.first_option:
        raise QHarnessError(f"task {name!r} generates nothing: {sampling.first_option} does not apply")
    changes: dict[str, float | bool] = {}
    if sampling.temperature is not None:
        changes |= {"temperature": sampling.temperature, "do_sample": sampling.temperature > 0}
    if sampling.top_p is not None:
        changes["top_p"] = sampling.top_p
    if sampling.max_new_tokens is not None:
        changes["max_gen_toks"] = sampling.max_new_tokens
    for task in generative:
        if sampling.samples is not None:
            task.set_config("repeats", sampling.samples)
        if changes:
            task.set_config("generation_kwargs", changes, update=True)
        decoding = Decoding.from_lm_eval(task.get_config("generation_kwargs") or {}, 1)  # or it says what it cannot do
        if decoding.temperature == 0 and (task.get_config("repeats") or 1) > 1:
            note(f"{name}: greedy completions of a problem are all equal, so one is made of each")
            task.set_config("repeats", 1)


def _sampling_of(loaded: LoadedTask) -> Sampling | None:
    """The sampling that lm-eval's first generative task is set to; None where there is none."""
    generative = _generative(loaded)
    if not generative:
        return None
    arguments = generative[0].get_config("generation_kwargs") or {}
    sampled = Decoding.from_lm_eval(arguments, 1).temperature > 0  # without do_sample, a temperature alone says so
    return Sampling(
        samples=generative[0].get_config("repeats"),
        temperature=arguments["temperature"] if sampled else 0.0,
        top_p=arguments.get("top_p"),
        max_new_tokens=arguments.get("max_gen_toks"),
    )
