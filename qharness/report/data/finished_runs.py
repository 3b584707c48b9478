"""Finished runs as a report reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qharness.evaluate.run.run_folder import SAMPLES, read_lines
from qharness.report.data.documents import Comparison, comparison_of
from qharness.specs import RunSpec
from qharness.stats.pairing import Key as Problem
from qharness.stats.pairing import Row, by_problem, passes
from qharness.storage.json_values import defined

FULL = "none"
PASS = "pass@1"  # noqa: S105 - a metric's name
_PREFIX = 2  # letters of a language's name that a task's name may end with, as in `-py`


@dataclass(frozen=True)
class RunSetting:
    """What decides a run's completions besides its model, quantizer, calibration set and task."""

    seed: int
    temperature: float | None
    top_p: float | None
    max_new_tokens: int | None
    samples: int | None
    limit: int | None
    device: str
    dtype: str

    def texts(self) -> dict[str, str]:
        """Each setting in words, by its name."""
        texts = {name: f"{name.replace('_', ' ')} {value}" for name, value in vars(self).items()}
        return texts | {"limit": "all problems" if self.limit is None else f"{self.limit} problems"}


@dataclass(frozen=True)
class RunSetup:
    """A run without its quantization: runs of one setup differ only in how their model is quantized."""

    model: str
    task: str
    setting: RunSetting


@dataclass(frozen=True, order=True)
class RunExtent:
    """How many problems and samples of each were asked for; infinitely many problems stands for all."""

    problems: float
    samples: int


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A finished run: its folder and its run.json. `rows`, of samples.jsonl, are read on first use."""

    folder: Path
    document: dict[str, Any]

    @cached_property
    def spec(self) -> RunSpec:
        """The run's spec without the places of its files, which do not tell runs apart."""
        given = self.document["spec"]
        known = {name: given[name] for name in RunSpec.__dataclass_fields__ if name in given}
        allowed = {"allow_unsandboxed": False, "allow_untouched": False}
        return RunSpec(**known | allowed | {"output": Path(), "data_dir": None, "compare": True})

    @property
    def checkpoint(self) -> str | None:
        """The checkpoint that was run, if that is an already quantized form of `model`."""
        return self.spec.model if self.spec.baseline not in (None, self.spec.model) else None

    @property
    def model(self) -> str:
        """The model in full precision."""
        return self.spec.baseline or self.spec.model

    @property
    def quant(self) -> str:
        """The quantizer's spec text; `none` is full precision."""
        return self.spec.quant

    @property
    def full(self) -> bool:
        """Whether this is full precision."""
        return self.quant == FULL and self.checkpoint is None

    @property
    def calib(self) -> str | None:
        """The calibration set's spec text, of quantizers that need one."""
        return self.spec.calib

    @property
    def task(self) -> str:
        """The task, without its perturbations."""
        return self.spec.base_task

    @property
    def perturbation(self) -> str:
        """The task's perturbations, as in its name; empty for none."""
        return self.spec.perturbation

    @property
    def seed(self) -> int:
        """The seed of sampling and of calibration."""
        return self.spec.seed

    @cached_property
    def setting(self) -> RunSetting:
        """The settings of the run."""
        spec = self.spec
        return RunSetting(
            seed=spec.seed,
            temperature=spec.temperature,
            top_p=spec.top_p,
            max_new_tokens=spec.max_new_tokens,
            samples=spec.samples,
            limit=spec.limit,
            device=spec.device,
            dtype=spec.dtype,
        )

    @cached_property
    def setup(self) -> RunSetup:
        """The run without its quantization."""
        return RunSetup(self.model, self.spec.task, self.setting)

    @cached_property
    def extent(self) -> RunExtent:
        """How much was asked for."""
        return RunExtent(math.inf if self.spec.limit is None else self.spec.limit, self.spec.samples or 0)

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages whose programs were run."""
        return tuple(sorted(self.document.get("versions", {}).get("toolchains") or {}))

    @property
    def language(self) -> str:
        """The language, or languages, in one text; empty for runs of texts."""
        return ", ".join(self.languages)

    @property
    def benchmark(self) -> str:
        """The task's name without its language, which its forms in several languages share."""
        parts = self.task.split("-")
        others = [p for p in parts if not (len(p) >= _PREFIX and any(name.startswith(p) for name in self.languages))]
        return "-".join(others) or self.task

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The task's metrics by name; undefined ones are NaN."""
        values = self.document.get("metrics", {}).get(self.spec.task, {})
        return {name: defined(value) for name, value in values.items()}

    @property
    def metric(self) -> str:
        """The task's first metric. Raises StopIteration where it has none."""
        return next(iter(self.metrics))

    @property
    def score(self) -> float:
        """The value of the first metric."""
        return self.metrics[self.metric]

    @property
    def counts_passes(self) -> bool:
        """Whether its completions are programs that were run."""
        return PASS in self.metrics and bool(self.languages)

    @property
    def storage_bytes(self) -> int | None:
        """Bytes of the checkpoint as it would be written; None where it is not known."""
        value: int | None = self.document.get("hosting", {}).get("storage_bytes")
        return value

    @property
    def parameters(self) -> int | None:
        """The model's number of parameters; None where it is not known."""
        value: int | None = self.document.get("hosting", {}).get("parameters")
        return value

    @property
    def untouched(self) -> float | None:
        """The fraction of the blocks' parameters that stayed in full precision; None where it is not known."""
        value: float | None = self.document.get("untouched", {}).get("share")
        return value

    @cached_property
    def baseline(self) -> Comparison | None:
        """The comparison with full precision in run.json, if there is one."""
        found = self.document.get("baseline")
        return None if found is None else comparison_of(found)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The lines of samples.jsonl; none where a task writes nothing. Raises SamplesError for a damaged file."""
        path = self.folder / SAMPLES
        return read_lines(path, ("task", "doc_id", "sample")) if path.is_file() else []

    @cached_property
    def problems(self) -> dict[Problem, list[Row]]:
        """The rows of each problem, in the order of samples."""
        return by_problem(self.rows)

    @cached_property
    def passed(self) -> dict[Problem, NDArray[np.bool_]]:
        """Which completions of each problem passed, bool [samples]; empty where no programs were run."""
        return {problem: passes(rows) for problem, rows in self.problems.items() if rows[0].get("passed") is not None}

    def scores(self, metric: str) -> list[float]:
        """The metric of each problem's first sample, which lm-eval scores; problems without it are left out."""
        values = ((rows[0].get("metrics") or {}).get(metric) for rows in self.problems.values())
        return [float(value) for value in values if isinstance(value, int | float)]

    @property
    def n_problems(self) -> int:
        """The number of problems with completions."""
        return len(self.problems)

    @property
    def n_samples(self) -> int:
        """The most completions of one problem."""
        return max((len(rows) for rows in self.problems.values()), default=0)
