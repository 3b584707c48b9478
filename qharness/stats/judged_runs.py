"""Finished runs as candidates of a verdict: each quantized model with its runs' comparisons with full precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qharness.evaluate.run.run_folder import read_run, require_run
from qharness.results import Comparison, RunRecord, RunResult
from qharness.results.verdict import LossVerdict
from qharness.specs import MaxLoss, RunSpec
from qharness.stats.candidates import FULL_PRECISION, Candidate, JudgedCandidate, Savings, judge
from qharness.stats.verdict_sentences import candidate_sentence
from qharness.storage.json_values import defined


@dataclass(frozen=True)
class ComparedRun:
    """The record of a run, and that of the run it was compared with, if it is at hand."""

    record: RunRecord
    baseline: RunRecord | None

    @classmethod
    def of(cls, result: RunResult) -> ComparedRun:
        """Find the record of the run that a finished run was compared with, now or when it was made."""
        comparison = result.record.baseline
        if comparison is None:
            return cls(result.record, None)
        if result.baseline:
            return cls(result.record, result.baseline.record)
        document = read_run(Path(comparison.a))
        return cls(result.record, None if document is None else RunRecord.of_document(document, comparison.a))

    @property
    def savings(self) -> Savings:
        """What the run's model saves against the other.

        Its speed is told only of one machine that was not busy, and not of a model that simulates, whose weights are
        multiplied in full width.
        """
        size = defined(self.record.hosting.storage_bytes)
        if self.baseline is None:
            return Savings(size)
        faster = self.record.timings.faster_than(self.baseline.timings)
        alike = self.baseline.machine == self.record.machine and self.record.hosting.packed_bytes is None
        alike &= not (self.baseline.timings.busy or self.record.timings.busy)
        smaller = 1 - size / defined(self.baseline.hosting.storage_bytes or None)
        return Savings(size, smaller, faster if alike else float("nan"))


def model_name(spec: RunSpec) -> str:
    """The quantizer of a run, with its calibration set if one is named; of a run without one, the model.

    A model that is compared with itself on another backend is called by its own backend too.
    """
    if spec.quant == "none":
        return _by_backend(spec) if spec.baseline == spec.model else spec.model
    quantizer = f"{spec.quant} on {spec.calib}" if spec.calib else spec.quant
    return f"{spec.model}, {quantizer}" if spec.baseline else quantizer


def _by_backend(spec: RunSpec) -> str:
    return f"{spec.model} by {spec.backend}"


def candidates(runs: Sequence[ComparedRun]) -> dict[str, list[Candidate]]:
    """The candidates of each model in full precision, in the order of the runs.

    Runs of one candidate on several tasks, or with several seeds, are its tasks. Perturbed tasks count only for a
    candidate that has no other. What it saves is what the first of its runs saves.
    """
    found: dict[tuple[str, str], list[ComparedRun]] = {}
    for run in runs:
        if run.record.baseline is not None:
            spec = run.record.spec
            found.setdefault((spec.baseline or spec.model, model_name(spec)), []).append(run)
    by_model: dict[str, list[Candidate]] = {}
    for (model, name), all_runs in found.items():
        own = [run for run in all_runs if not run.record.spec.perturbation] or all_runs
        seeds = {run.record.spec.seed for run in own}
        compared = [(_task(run.record.spec, len(seeds) > 1), run.record.baseline) for run in own]
        comparisons = [(task, each) for task, each in compared if each is not None]
        by_model.setdefault(model, []).append(Candidate(name, comparisons, own[0].savings))
    return by_model


def _task(spec: RunSpec, with_seed: bool) -> str:
    """The task, with what tells its runs apart: the form of its prompts, if they are no raw ones, and the seed."""
    name = spec.with_prompting(spec.task)
    return f"{name}, seed {spec.seed}" if with_seed else name


def judge_models(runs: Sequence[ComparedRun], margin: MaxLoss) -> dict[str, list[JudgedCandidate]]:
    """Judge the candidates of all models together, and return them by model."""
    by_model = candidates(runs)
    judged = iter(judge([each for of_model in by_model.values() for each in of_model], margin))
    return {model: [next(judged) for _ in of_model] for model, of_model in by_model.items()}


def judge_pair(comparison: Comparison, margin: MaxLoss) -> JudgedCandidate:
    """Judge the second run of a comparison against the first, whatever the two are. Both folders must be whole."""
    first, second = (
        RunRecord.of_document(require_run(Path(folder)), folder) for folder in (comparison.a, comparison.b)
    )
    name, reference = model_name(second.spec), model_name(first.spec)
    if first.spec.quant == "none" and (second.spec.baseline or second.spec.model) == first.spec.model:
        reference = FULL_PRECISION
    if second.spec.model_spec == first.spec.model_spec:  # on another backend or other prompts, or sampled otherwise
        name, reference = Path(comparison.b).name, Path(comparison.a).name
        if second.spec.backend != first.spec.backend:
            name, reference = _by_backend(second.spec), _by_backend(first.spec)
    savings = ComparedRun(second, first).savings
    (judged,) = judge([Candidate(name, [(second.spec.task, comparison)], savings, reference)], margin)
    return judged


def verdict_of(judged: JudgedCandidate) -> LossVerdict | None:
    """The verdict on a candidate's only task, with the sentence; None where it is not compared by its passes."""
    sentence = candidate_sentence(judged)
    return next((replace(each.verdict, sentence=sentence) for each in judged.tasks), None)
