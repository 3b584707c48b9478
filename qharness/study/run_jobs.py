"""`run`: quantize, generate and execute through lm-eval, and compare with full precision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qharness.errors import ModelError, SandboxError
from qharness.evaluate.run.lm_eval_bridge import LoadedTask, load_task, quiet
from qharness.evaluate.run.run_folder import RUN
from qharness.evaluate.run.run_plan import PlannedRun, claimed, plan_run
from qharness.evaluate.run.run_record import evaluate_run
from qharness.execution import choose_isolation
from qharness.execution.toolchains import find_toolchain
from qharness.models import loading
from qharness.models.backends import backend_of
from qharness.progress import note
from qharness.quantization.calibration import stated_context
from qharness.quantization.quantized_models import Models
from qharness.registry import get_registry
from qharness.results import RunResult
from qharness.specs import RunSpec
from qharness.stats import comparable, compare
from qharness.storage.atomic_writer import write_json
from qharness.storage.benchmark_files import recording
from qharness.storage.json_values import json_safe
from qharness.study.jobs import Memory, baseline_of, has_baseline


def run(spec: RunSpec) -> RunResult:
    """Make one run, or return it if it is already whole; with its baseline, unless `spec.compare` is off.

    Raises QHarnessError, before anything is written, for a mistake in the spec.
    """
    return run_tasks([spec])[0]


def perform(spec: RunSpec, memory: Memory, *, wait: bool) -> Path:
    """A study's job of kind `run`."""
    return run_tasks([spec], memory.models, wait=wait)[0].folder


def run_tasks(specs: Sequence[RunSpec], models: Models | None = None, *, wait: bool = True) -> list[RunResult]:
    """Make runs that differ in their task only, loading each model once: all baselines first, then all the rest.

    One that another process is making is waited for; with `wait` off, BusyError is raised instead.
    """
    models = models or Models()
    with quiet():
        cells, baselines, files = _prepare(specs)
        for group in (baselines, cells):
            _fill(group, files, models, wait)
    for cell, baseline in zip(cells, baselines, strict=False):
        _attach(cell, baseline)
    return [RunResult(cell.folder, cell.done or {}) for cell in cells]


def _prepare(specs: Sequence[RunSpec]) -> tuple[list[PlannedRun], list[PlannedRun], dict[str, dict[str, str]]]:
    """(cells, their baselines, files read by task). Finds every mistake there is to find before a model is loaded."""
    check_model(specs[0])
    loaded, files = {}, {}
    for spec in specs:
        with recording() as read:
            loaded[spec.task] = checked_task(spec)
        files[spec.task] = read
    cells = [plan_run(spec, loaded[spec.task]) for spec in specs]
    baselines = [plan_run(baseline_of(cell.spec), cell.task) for cell in cells if has_baseline(cell.spec)]
    return cells, baselines, files


def check_model(spec: RunSpec) -> None:
    """Raise QHarnessError for a spec whose model could not be made, as far as that shows without its weights."""
    get_registry().quantizer(spec.quant)
    loading.resolve_device(spec.device)
    for name in filter(None, (spec.model, spec.baseline)):
        context = stated_context(loading.check_checkpoint(name, spec.trust_remote_code))
        if spec.max_new_tokens and context and spec.max_new_tokens > context:
            raise ModelError(f"--max-new-tokens {spec.max_new_tokens}: model {name!r} takes {context} tokens in all")
    backend_of(spec).check(spec)


def checked_task(spec: RunSpec) -> LoadedTask:
    """A spec's task, whose programs this machine can run."""
    task = load_task(spec.task, spec.data_dir, spec.seed)
    check_execution(task, spec.allow_unsandboxed)
    return task


def check_execution(task: LoadedTask, allow_unsandboxed: bool) -> None:
    """Raise SandboxError or MissingDependencyError now if the task's programs could not be run later."""
    if task.languages:
        choose_isolation(allow_unsandboxed)
    if any(getattr(each, "UNSAFE_CODE", False) for each in task.tasks.values()) and not allow_unsandboxed:
        raise SandboxError(f"task {task.name!r} runs generated code itself, in no sandbox: --allow-unsandboxed lets it")
    for name in task.languages:
        find_toolchain(get_registry().language(name), task.packages)


def _fill(cells: Sequence[PlannedRun], files: dict[str, dict[str, str]], models: Models, wait: bool) -> None:
    """Make those of the cells that are not whole; they share their model, which is loaded if one is missing."""
    for cell in cells:
        if cell.done is not None:
            note(f"already done: {cell.folder}")
            continue
        with claimed(cell, wait=wait) as unmade:
            if not unmade:
                note(f"done meanwhile: {cell.folder}")
                continue
            made = backend_of(cell.spec).make(models, cell.spec)
            note(f"running {cell.spec.quant} on {cell.spec.task}: {cell.folder}")
            evaluate_run(cell, made, files[cell.spec.task])


def _attach(cell: PlannedRun, baseline: PlannedRun) -> None:
    """Put the comparison with its baseline into a run's document."""
    document: dict[str, Any] = cell.done or {}
    if not comparable(cell.folder):
        return
    comparison = json_safe(compare(baseline.folder, cell.folder).document)
    if document.get("baseline") != comparison:
        write_json(cell.folder / RUN, {**document, "baseline": comparison})
