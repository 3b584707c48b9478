"""Robustness of a study's runs: tables VII and VIII of Wei et al. 2023, from runs on perturbed and original prompts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qharness.evaluate.run.lm_eval_bridge import LoadedTask, load_task
from qharness.results import RunResult
from qharness.specs import RunSpec
from qharness.stats.robustness import Flips, flips, pass_rates, percentage_drop, rank_tests, sampled


@dataclass(frozen=True)
class _Run:
    """A finished run that has passes."""

    spec: RunSpec
    result: RunResult

    @cached_property
    def samples(self) -> dict[int, list[dict[str, Any]]]:
        return sampled(self.result.folder)

    @cached_property
    def rates(self) -> dict[int, float]:
        return pass_rates(self.samples)


@dataclass(frozen=True)
class RobustnessRow:
    """What one perturbation costs one model, quantized in one way, on one task.

    `drop_percent` is NaN where nothing passed on the original prompts. `against_full_precision`: p-values by problem,
    of pass@1 on the perturbed prompts and of what the perturbation costs; None for full precision itself.
    """

    model: str
    quant: str
    calib: str | None
    seed: int
    task: str
    perturbation: str
    n_problems: int
    unperturbed: float
    perturbed: float
    drop_percent: float
    broken: list[int]
    mended: list[int]
    against_full_precision: dict[str, dict[str, float]] | None


class Robustness:
    """The measures of a study's finished runs; those without a counterpart on the original prompts are left out."""

    def __init__(self, runs: Sequence[tuple[RunSpec, RunResult]]) -> None:
        counted = [_Run(spec, result) for spec, result in runs if "pass@1" in result.metrics]
        self._runs = {_key(run.spec): run for run in counted}
        self._tasks: dict[tuple[str, int], LoadedTask] = {}
        pairs = (
            (run, self._runs.get(_key(run.spec, task=run.spec.base_task))) for run in counted if run.spec.perturbation
        )
        self._pairs = [(original, perturbed) for perturbed, original in pairs if original is not None]
        self.rows = [self._row(*pair) for pair in self._pairs]

    @property
    def folders(self) -> list[Path]:
        """Those of the perturbed runs, in the order of `rows`."""
        return [perturbed.result.folder for _, perturbed in self._pairs]

    def _row(self, original: _Run, perturbed: _Run) -> RobustnessRow:
        both = sorted(original.rates.keys() & perturbed.rates.keys())
        before, after = (float(np.mean([run.rates[n] for n in both])) for run in (original, perturbed))
        spec = perturbed.spec
        return RobustnessRow(
            model=spec.model,
            quant=spec.quant,
            calib=spec.calib,
            seed=spec.seed,
            task=spec.base_task,
            perturbation=spec.perturbation,
            n_problems=len(both),
            unperturbed=before,
            perturbed=after,
            drop_percent=percentage_drop(before, after),
            **asdict(flips(original.rates, perturbed.rates)),
            against_full_precision=self._against(original, perturbed),
        )

    def _against(self, original: _Run, perturbed: _Run) -> dict[str, dict[str, float]] | None:
        full = [self._runs.get(_key(run.spec, quant="none", calib=None)) for run in (original, perturbed)]
        if perturbed.spec.quant == "none" or full[0] is None or full[1] is None:
            return None
        runs = (*full, original, perturbed)
        both = sorted(set.intersection(*(set(run.rates) for run in runs if run)))
        rates = [np.array([run.rates[n] for n in both]) for run in runs if run]
        return {
            "pass@1": asdict(rank_tests(rates[1], rates[3])),
            "drop": asdict(rank_tests(rates[0] - rates[1], rates[2] - rates[3])),
        }

    def averages(self) -> list[dict[str, Any]]:
        """The mean drop of each quantizer over models, tasks, perturbations and seeds, of those that are defined."""
        by_quantizer: dict[tuple[str, str | None], list[float]] = {}
        for row in self.rows:
            by_quantizer.setdefault((row.quant, row.calib), []).append(row.drop_percent)
        out = []
        for (quant, calib), drops in by_quantizer.items():
            defined = [drop for drop in drops if math.isfinite(drop)]
            mean = float(np.mean(defined)) if defined else math.nan
            out.append(
                {"quant": quant, "calib": calib, "drop_percent": mean, "defined": len(defined), "of": len(drops)}
            )
        return out

    def flipped(self) -> list[dict[str, Any]]:
        """Each flip, with both prompts, both first completions, and what became of them (table VIII)."""
        found = []
        for (original, perturbed), row in zip(self._pairs, self.rows, strict=True):
            for kind, numbers in asdict(Flips(row.broken, row.mended)).items():
                for n in numbers:
                    runs = {"unperturbed": original, "perturbed": perturbed}
                    found.append(
                        {
                            "model": row.model,
                            "quant": row.quant,
                            "calib": row.calib,
                            "seed": row.seed,
                            "task": row.task,
                            "perturbation": row.perturbation,
                            "doc_id": n,
                            "task_id": perturbed.samples[n][0].get("task_id"),
                            "flip": kind,
                            **{name: self._shown(run, n) for name, run in runs.items()},
                        }
                    )
        return found

    def _shown(self, run: _Run, number: int) -> dict[str, Any]:
        first = run.samples[number][0]
        key = run.spec.task, run.spec.seed
        if key not in self._tasks:
            self._tasks[key] = load_task(run.spec.task, run.spec.data_dir, run.spec.seed)
        (task,) = self._tasks[key].tasks.values()
        prompt = task.doc_to_text(task.eval_docs[number])
        return {"prompt": prompt, "pass@1": run.rates[number], **{k: first[k] for k in ("completion", "status")}}

    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {"rows": [asdict(row) for row in self.rows], "averages": self.averages(), "flips": self.flipped()}


def _key(spec: RunSpec, **changes: Any) -> RunSpec:
    return dataclasses.replace(spec, compare=False, baseline=None, **changes)
