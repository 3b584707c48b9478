"""`run`: quantize, generate and execute through lm-eval, and compare with full precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qharness.errors import ModelError, SamplesError, SandboxError
from qharness.evaluate.run.lm_eval_bridge import LoadedTask, load_task, quiet
from qharness.evaluate.run.run_folder import RUN, completions_in, read_run, require_run
from qharness.evaluate.run.run_plan import PlannedRun, claimed, plan_run
from qharness.evaluate.run.run_record import evaluate_run
from qharness.execution import choose_isolation, keeping_workers
from qharness.models.chat_template import check_chat
from qharness.models.checkpoint import Checkpoint
from qharness.models.server_model import ServerModel
from qharness.progress import kept_when_stopped, note
from qharness.quantization.backends import check_address, find_backend
from qharness.quantization.calibration import stated_context
from qharness.quantization.quantized_models import Models
from qharness.quantization.resolution import BoundModel, ResolvedModel, bind_model, resolve
from qharness.results import RunResult
from qharness.specs import RunSpec
from qharness.storage.benchmark_files import FilesRead, recording
from qharness.study.compared_results import compared
from qharness.study.jobs import Memory, baseline_of, has_baseline
from qharness.study.known_runs import remember


def run(spec: RunSpec) -> RunResult:
    """Make one run, or return it if it is already whole; with its baseline, unless `spec.compare` is off.

    Raises QHarnessError, before anything is written, for a mistake in the spec.
    """
    return run_tasks([spec])[0]


def perform(spec: RunSpec, memory: Memory, *, wait: bool) -> Path:
    """A study's job of kind `run`."""
    return run_tasks([spec], memory.models, wait=wait)[0].folder


def run_tasks(
    specs: Sequence[RunSpec], models: Models | None = None, *, wait: bool = True, bound: BoundModel | None = None
) -> list[RunResult]:
    """Make runs that differ in their task only, loading each model once: all baselines first, then all the rest.

    `bound`: their model, where its specs have been parsed already. A run that another process is making is waited for;
    with `wait` off, BusyError is raised instead.
    """
    models = models or Models()
    with quiet():
        bound = bound or bind_model(specs[0].model_spec)
        plan = _prepare(specs, bound)
        made: list[RunResult] = []
        planned = [*plan.baselines, *plan.runs]
        with keeping_workers(), kept_when_stopped(lambda: f"{len(made)} of {len(planned)} runs done" if made else ""):
            for each in planned:
                made.append(_made(each, plan.files[each.spec.task].digests, models, wait))
    baselines, results = made[: len(plan.baselines)] or list(plan.finished), made[len(plan.baselines) :]
    if baselines:
        pairs = zip(results, baselines, specs, strict=True)
        results = [compared(result, baseline, spec.max_loss) for result, baseline, spec in pairs]
    for spec, result in zip(specs, results, strict=True):
        against = None if result.baseline is None else result.baseline.folder
        remember(spec, bound, result.folder, against, plan.files[spec.task].paths)
    for each, spec, result in zip(plan.baselines, specs, baselines, strict=False):
        remember(baseline_of(spec), each.model, result.folder, None, plan.files[spec.task].paths)
    return results


@dataclass(frozen=True)
class _Plan:
    """The runs, and by task the benchmark files that were read.

    `baselines`: the runs to compare with, in the same order; or `finished` ones; or neither.
    """

    runs: Sequence[PlannedRun]
    baselines: Sequence[PlannedRun]
    finished: Sequence[RunResult]
    files: dict[str, FilesRead]


def _prepare(specs: Sequence[RunSpec], bound: BoundModel) -> _Plan:
    """Find every mistake there is to find before a model is loaded."""
    model = resolve(bound)
    baseline = check_model(specs[0], model)
    finished = _finished_baselines(specs)
    loaded, files = {}, {}
    for spec in specs:
        with recording() as read:
            loaded[spec.task] = checked_task(spec)
        files[spec.task] = read
    runs = [plan_run(spec, model, loaded[spec.task]) for spec in specs]
    for run, other in zip(runs, finished, strict=False):
        if (language := other.record.spec.language) != run.spec.language:
            raise SamplesError(f"--baseline {other.folder} was run with --language {language}, not {run.spec.language}")
    baselines: list[PlannedRun] = []
    if has_baseline(specs[0]):
        full = model.full_precision(baseline)
        baselines = [plan_run(baseline_of(each.spec), full, each.task) for each in runs]
    check_backends([*runs, *baselines])
    return _Plan(runs, baselines, finished, files)


def check_model(spec: RunSpec, model: ResolvedModel) -> Checkpoint | ServerModel:
    """Check a run's model and the one that it is compared with; return the latter.

    Raises QHarnessError for a model that could not be made, as far as that shows without its weights, or its server.
    """
    check_address(spec.backend, spec.base_url, spec.api_key_env)
    parent = model.spec.parent
    other = model.source.named(parent) if parent else model.source
    for source in dict.fromkeys((model.source, other)):
        source.check()
        context = stated_context(source.config) if isinstance(source, Checkpoint) else None
        if spec.max_new_tokens and context and spec.max_new_tokens > context:
            raise ModelError(
                f"--max-new-tokens {spec.max_new_tokens}: model {source.name!r} takes {context} tokens in all"
            )
    return other


def check_backends(runs: Sequence[PlannedRun]) -> None:
    """Raise QHarnessError for a run that is still to be made, and that its backend or its tokenizer cannot make."""
    left = [run for run in runs if not (run.folder / RUN).is_file()]
    for run in {(run.spec.backend, run.model.spec): run for run in left}.values():
        find_backend(run.spec.backend).check(run.model)
    chats = {(run.spec.backend, run.model.source, run.model.spec.parent): run for run in left if run.spec.chat}
    for run in chats.values():
        _check_chat(run.spec, run.model)


def _finished_baselines(specs: Sequence[RunSpec]) -> list[RunResult]:
    """The finished run to compare with, for each spec; none where none is named.

    Raises SamplesError for a folder that is no finished run, or one of another task.
    """
    found = []
    for spec in specs:
        if spec.baseline_run is None:
            continue
        result = RunResult(spec.baseline_run, require_run(spec.baseline_run))
        task = result.record.spec.base_task
        if task != spec.base_task:
            raise SamplesError(f"--baseline {spec.baseline_run} is a run of task {task!r}, not of {spec.base_task!r}")
        found.append(result)
    return found


def _check_chat(spec: RunSpec, model: ResolvedModel) -> None:
    """Raise ModelError for a chat that the model's tokenizer cannot render."""
    tokenizer = find_backend(spec.backend).tokenizer(model)
    if tokenizer is not None:
        if model.checkpoint.config.is_encoder_decoder:
            raise ModelError(f"--chat: {model.spec.model!r} is an encoder-decoder model, which takes no chat")
        check_chat(tokenizer, model.spec.model, system=spec.system is not None, think=spec.think)


def checked_task(spec: RunSpec) -> LoadedTask:
    """A spec's task, whose programs this machine can run."""
    task = load_task(spec.task, spec.data_dir, spec.seed).with_language(spec.language)
    check_execution(task, spec.allow_unsandboxed)
    return task


def check_execution(task: LoadedTask, allow_unsandboxed: bool) -> None:
    """Raise SandboxError or MissingDependencyError now if the task's programs could not be run later."""
    if task.languages:
        choose_isolation(allow_unsandboxed)
    if any(getattr(each, "UNSAFE_CODE", False) for each in task.tasks.values()) and not allow_unsandboxed:
        raise SandboxError(f"task {task.name!r} runs generated code itself, in no sandbox: --allow-unsandboxed lets it")
    _ = task.toolchains


def _made(run: PlannedRun, files: Mapping[str, str], models: Models, wait: bool) -> RunResult:
    """A run that is whole, made now if need be; the runs of one model share it, and one that is whole needs none."""
    document = read_run(run.folder)
    if document is not None:
        note(f"already done: {run.folder}")
        return RunResult(run.folder, document)
    with claimed(run, wait=wait) as document:
        if document is not None:
            note(f"done meanwhile: {run.folder}")
            return RunResult(run.folder, document)
        with kept_when_stopped(lambda: _kept(run)):
            made = find_backend(run.spec.backend).make(models, run.model, run.spec.batch_size)
            note(f"running {run.spec.quant} on {run.spec.task}: {run.folder}")
            return RunResult(run.folder, evaluate_run(run, made, files))


def _kept(run: PlannedRun) -> str:
    """What an interrupted run leaves: the completions in its journal, of those of its problems."""
    problems = sum(len(task.eval_docs) for task in run.task.tasks.values())
    of = min(problems, run.spec.limit or problems) * (run.spec.samples or 1)
    model = "full precision" if run.spec.quant == "none" else run.spec.quant
    made = f"{completions_in(run.folder)} of {of} completions"
    return f"{made} of {model} on {run.spec.task} are kept in {run.folder}"
