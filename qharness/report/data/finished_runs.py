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


@dataclass(frozen=True, order=True)
class RunExtent:
    """How many problems and samples of each were asked for; infinitely many problems stands for all."""

    problems: float
    samples: int


class FinishedRun:
    """A finished run: its folder and its run.json. `rows`, of samples.jsonl, are read on first use.

    `spec`: without the places of files, which do not tell runs apart. `model`: in full precision. `checkpoint`: the
    model that was run, if that is an already quantized form of `model`. `quant`, `calib`: spec texts; `none` quantizes
    nothing. `full`: whether this is full precision. `task`: without its `perturbation`, which is empty for none.
    `setup`: runs that share it differ only in how their model is quantized. `languages`: of the programs that were run.
    `metrics`: those of the task; undefined ones are NaN. `storage_bytes`: of the checkpoint as it would be written.
    `untouched`: the fraction of the blocks' parameters that stayed in full precision.
    """

    def __init__(self, folder: Path, document: dict[str, Any]) -> None:
        given = document["spec"]
        known = {name: given[name] for name in RunSpec.__dataclass_fields__ if name in given}
        allowed = {"allow_unsandboxed": False, "allow_untouched": False}
        self.folder, self.document = folder, document
        self.spec = spec = RunSpec(**known | allowed | {"output": Path(), "data_dir": None, "compare": True})
        self.model = spec.baseline or spec.model
        self.checkpoint = None if spec.model == self.model else spec.model
        self.quant, self.calib = spec.quant, spec.calib
        self.full = spec.quant == FULL and self.checkpoint is None
        self.task, self.perturbation = spec.base_task, spec.perturbation
        self.setting = RunSetting(**{name: getattr(spec, name) for name in RunSetting.__dataclass_fields__})
        self.setup = self.model, spec.task, self.setting
        self.extent = RunExtent(math.inf if spec.limit is None else spec.limit, spec.samples or 0)
        self.languages = tuple(sorted(document.get("versions", {}).get("toolchains") or {}))
        self.language = ", ".join(self.languages)
        self.metrics = {n: defined(v) for n, v in document.get("metrics", {}).get(self.spec.task, {}).items()}
        self.counts_passes = PASS in self.metrics and bool(self.languages)
        hosting = document.get("hosting", {})
        self.storage_bytes: int | None = hosting.get("storage_bytes")
        self.parameters: int | None = hosting.get("parameters")
        self.untouched: float | None = document.get("untouched", {}).get("share")

    @property
    def benchmark(self) -> str:
        """The task's name without its language, which its forms in several languages share."""
        parts = self.task.split("-")
        others = [p for p in parts if not (len(p) >= _PREFIX and any(name.startswith(p) for name in self.languages))]
        return "-".join(others) or self.task

    @property
    def metric(self) -> str:
        """The task's first metric. Raises StopIteration where it has none."""
        return next(iter(self.metrics))

    @property
    def score(self) -> float:
        """The value of the first metric."""
        return self.metrics[self.metric]

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
