"""Estimates what runs would take, from a short measurement with the model in full precision; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from qharness.evaluate.run.drawn_run import filtered, requests_of
from qharness.evaluate.run.lm_eval_bridge import quiet
from qharness.evaluate.run.run_plan import PlannedRun
from qharness.evaluate.run.run_record import model_for
from qharness.models.decoding_trial import DecodingTrial, try_decoding
from qharness.models.lm import LoadedLM
from qharness.models.weight_footprint import checkpoint_figures, resident_bytes
from qharness.quantization.quantized_models import Models, is_cached
from qharness.study.run_jobs import check_backends
from qharness.study.sweep import PlannedJob

_PROGRAMS = 9
"""Programs that are executed, the first of them to warm up."""


@dataclass(frozen=True)
class RunEstimate:
    """What one run would take. `completions`: still to be made, `at_a_time`; of `tokens` each, `most_tokens` at most.

    `seconds`, `most_seconds`: of generating them, if they are so long; `program_seconds`: of executing them, None where
    the task runs no programs. All are None where nothing could be measured.
    """

    quant: str
    task: str
    completions: int
    at_a_time: int | None = None
    tokens: float | None = None
    most_tokens: int | None = None
    seconds: float | None = None
    most_seconds: float | None = None
    program_seconds: float | None = None


@dataclass(frozen=True)
class ModelEstimate:
    """What one model takes. `memory_bytes`: its weights in full precision, and a batch of completions.

    `checkpoint_bytes`: on disk, as `quantize` writes it; `is_cached`: whether the quantized model is there already, so
    that none is made. None where it is not known.
    """

    quant: str
    memory_bytes: int | None
    checkpoint_bytes: int | None
    is_cached: bool = False


@dataclass(frozen=True)
class Estimate:
    """What the runs that are not whole would take. `measured_s`: how long it was measured, loading included."""

    runs: Sequence[RunEstimate]
    models: Sequence[ModelEstimate]
    measured_s: float


def estimate(plans: Sequence[PlannedJob]) -> Estimate:
    """Load each model in full precision, decode a few tokens of one batch of each task, and execute a few programs.

    Quantized models are taken to be as fast as full precision. Raises QHarnessError for what a run would refuse.
    """
    start = time.monotonic()
    left = [(plan, plan.run) for plan in plans if plan.run and not plan.done]
    with quiet():
        check_backends([run for _, run in left])
        models = Models()
        trials: dict[tuple[str, str], _Measured | None] = {}
        found, sizes = [], dict[tuple[str, str], ModelEstimate]()
        for plan, run in sorted(left, key=lambda each: str(each[1].model.source.name)):
            key = (run.model.source.name, run.spec.task)
            if run.spec.backend == "hf" and key not in trials:
                trials[key] = _measured(run, models)
            trial = trials.get(key)
            found.append(_estimated(plan, run, trial))
            sizes.setdefault((run.model.source.name, run.spec.quant), _sized(run, trial))
    return Estimate(found, list(sizes.values()), time.monotonic() - start)


@dataclass(frozen=True)
class _Measured:
    decoding: DecodingTrial
    weights: int
    program_s: float | None

    @property
    def memory(self) -> int:
        """Bytes of the weights and of a batch."""
        return self.weights + self.decoding.size * self.decoding.row_bytes


def _measured(run: PlannedRun, models: Models) -> _Measured | None:
    """The speed of a run's model in full precision; None for a task that generates nothing."""
    full = run.model.full_precision()
    made = models.get(full)
    lm: LoadedLM = model_for(run, made)
    (task, *_) = run.task.tasks.values()
    if task.get_config("output_type") != "generate_until":
        return None
    requests = [each for each in requests_of(task, run, lm) for _ in range(run.spec.samples or 1)]
    trial = try_decoding(lm, requests)
    by_document = {each.doc_id: each for each in requests}
    answered = [(by_document[key.document], text) for key, text in trial.answers[:_PROGRAMS]]
    program_s = None
    if run.task.languages and answered:
        options = replace(run.execution, cache=False)
        filtered(task, answered[:1], options)
        start = time.monotonic()
        filtered(task, answered, options)
        program_s = (time.monotonic() - start) / len(answered)
    return _Measured(trial, resident_bytes(lm.model), program_s)


def _estimated(plan: PlannedJob, run: PlannedRun, measured: _Measured | None) -> RunEstimate:
    left = plan.completions - plan.found
    if measured is None:
        return RunEstimate(run.spec.quant, run.spec.task, left)
    trial = measured.decoding
    prompts = -(-left // (run.spec.samples or 1))
    return RunEstimate(
        quant=run.spec.quant,
        task=run.spec.task,
        completions=left,
        at_a_time=trial.size,
        tokens=trial.tokens,
        most_tokens=trial.most,
        seconds=trial.estimate(prompts, left, trial.tokens),
        most_seconds=trial.estimate(prompts, left, trial.most),
        program_seconds=None if measured.program_s is None else measured.program_s * left,
    )


def _sized(run: PlannedRun, measured: _Measured | None) -> ModelEstimate:
    memory = measured.memory if measured else None
    figures = checkpoint_figures(run.model.source, run.model.quantizer)
    return ModelEstimate(run.spec.quant, memory, figures.storage_bytes, is_cached(run.model))
