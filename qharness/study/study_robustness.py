"""Robustness of a study's runs: tables VII and VIII of Wei et al. 2023, from runs on perturbed and original prompts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from qharness.evaluate.run.lm_eval_bridge import LoadedTask, load_task
from qharness.results import RunResult, SampleRow
from qharness.results.paired_results import PASS_RATE, RankTests
from qharness.specs import RunSpec
from qharness.stats.robustness import flips, pass_rates, percentage_drop, rank_tests, sampled
from qharness.storage.json_codec import SPLICED, encode
from qharness.storage.json_values import JsonObject


@dataclass(frozen=True)
class _Run:
    """A finished run that has passes."""

    spec: RunSpec
    result: RunResult

    @cached_property
    def samples(self) -> dict[int, list[SampleRow]]:
        return sampled(self.result.folder)

    @cached_property
    def rates(self) -> dict[int, float]:
        return pass_rates(self.samples)


@dataclass(frozen=True)
class PerturbedSetting:
    """What a run on perturbed prompts ran: one model, quantized in one way, on one task with one perturbation."""

    model: str
    quant: str
    calib: str | None
    seed: int
    task: str
    perturbation: str

    @classmethod
    def of(cls, spec: RunSpec) -> PerturbedSetting:
        """Take it from the spec of such a run."""
        return PerturbedSetting(spec.model, spec.quant, spec.calib, spec.seed, spec.base_task, spec.perturbation)


@dataclass(frozen=True)
class RobustnessRow(PerturbedSetting):
    """The cost of one perturbation to one model, quantized in one way, on one task.

    `drop_percent` is NaN where nothing passed on the original prompts. `against_full_precision`: p-values by problem,
    of the pass rates on the perturbed prompts and of the perturbation's `drop`; None for full precision itself.
    """

    n_problems: int
    unperturbed: float
    perturbed: float
    drop_percent: float
    broken: Sequence[int]
    mended: Sequence[int]
    against_full_precision: Mapping[str, RankTests] | None


@dataclass(frozen=True)
class AverageDrop:
    """The mean drop of a quantizer in percent, over the `defined` of its `of` rows whose drop is defined."""

    quant: str
    calib: str | None
    drop_percent: float
    defined: int
    of: int


@dataclass(frozen=True)
class ShownRun:
    """One run's side of a flip: the prompt, the problem's pass rate by the metric's name, the first completion."""

    prompt: str
    score: Mapping[str, float] = field(metadata=SPLICED)
    completion: str
    status: str | None


@dataclass(frozen=True)
class FlippedProblem(PerturbedSetting):
    """A problem that a perturbation flips, `broken` or `mended`, with both prompts and both first completions."""

    doc_id: int
    task_id: str | int | None
    flip: str
    unperturbed: ShownRun
    perturbed: ShownRun


class Robustness:
    """The measures of a study's finished runs; those without a counterpart on the original prompts are left out."""

    def __init__(self, runs: Sequence[tuple[RunSpec, RunResult]]) -> None:
        counted = [_Run(spec, result) for spec, result in runs if PASS_RATE in result.metrics]
        self._runs = {_key(run.spec): run for run in counted}
        self._tasks: dict[tuple[str, int], LoadedTask] = {}
        pairs = (
            (run, self._runs.get(_key(replace(run.spec, task=run.spec.base_task))))
            for run in counted
            if run.spec.perturbation
        )
        self._pairs = [(original, perturbed) for perturbed, original in pairs if original is not None]
        self.rows = [self._row(*pair) for pair in self._pairs]

    @property
    def folders(self) -> list[Path]:
        """Those of the perturbed runs, in the order of `rows`."""
        return [perturbed.result.folder for _, perturbed in self._pairs]

    def _row(self, original: _Run, perturbed: _Run) -> RobustnessRow:
        """Compare a perturbed run with the original one, over the problems that both have."""
        both = sorted(original.rates.keys() & perturbed.rates.keys())
        before, after = (float(np.mean([run.rates[n] for n in both])) for run in (original, perturbed))
        spec, flipped = perturbed.spec, flips(original.rates, perturbed.rates)
        return RobustnessRow(
            **vars(PerturbedSetting.of(spec)),
            n_problems=len(both),
            unperturbed=before,
            perturbed=after,
            drop_percent=percentage_drop(before, after),
            broken=flipped.broken,
            mended=flipped.mended,
            against_full_precision=self._against(original, perturbed),
        )

    def _against(self, original: _Run, perturbed: _Run) -> dict[str, RankTests] | None:
        full = [self._runs.get(_key(replace(run.spec, quant="none", calib=None))) for run in (original, perturbed)]
        if perturbed.spec.quant == "none" or full[0] is None or full[1] is None:
            return None
        runs = (full[0], full[1], original, perturbed)
        both = sorted(set.intersection(*(set(run.rates) for run in runs)))
        rates = [np.array([run.rates[n] for n in both]) for run in runs]
        return {
            PASS_RATE: rank_tests(rates[1], rates[3]),
            "drop": rank_tests(rates[0] - rates[1], rates[2] - rates[3]),
        }

    def averages(self) -> list[AverageDrop]:
        """The mean drop of each quantizer over models, tasks, perturbations and seeds, of those that are defined."""
        by_quantizer: dict[tuple[str, str | None], list[float]] = {}
        for row in self.rows:
            by_quantizer.setdefault((row.quant, row.calib), []).append(row.drop_percent)
        found = []
        for (quant, calib), drops in by_quantizer.items():
            defined = [drop for drop in drops if math.isfinite(drop)]
            mean = float(np.mean(defined)) if defined else math.nan
            found.append(AverageDrop(quant, calib, mean, len(defined), len(drops)))
        return found

    def flipped(self) -> list[FlippedProblem]:
        """Each flip, row by row (table VIII)."""
        return [
            FlippedProblem(
                **vars(PerturbedSetting.of(perturbed.spec)),
                doc_id=n,
                task_id=perturbed.samples[n][0].task_id,
                flip=kind,
                unperturbed=self._shown(original, n),
                perturbed=self._shown(perturbed, n),
            )
            for (original, perturbed), row in zip(self._pairs, self.rows, strict=True)
            for kind, numbers in (("broken", row.broken), ("mended", row.mended))
            for n in numbers
        ]

    def _shown(self, run: _Run, number: int) -> ShownRun:
        first = run.samples[number][0]
        key = run.spec.task, run.spec.seed
        if key not in self._tasks:
            self._tasks[key] = load_task(run.spec.task, run.spec.data_dir, run.spec.seed)
        (task,) = self._tasks[key].tasks.values()
        prompt = task.doc_to_text(task.eval_docs[number])
        return ShownRun(prompt, {PASS_RATE: run.rates[number]}, first.completion, first.status)

    def document(self) -> JsonObject:
        """All of it, for JSON."""
        return {"rows": encode(self.rows), "averages": encode(self.averages()), "flips": encode(self.flipped())}


def _key(spec: RunSpec) -> RunSpec:
    """Equal for runs of the same completions, whatever they are compared with."""
    return replace(spec, compare=False, baseline=None)
