"""Finished runs as a report reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qharness.evaluate.run.run_folder import SAMPLES, read_lines
from qharness.results import SampleRow
from qharness.specs import RunSpec
from qharness.stats.pairing import Key as Problem
from qharness.stats.pairing import by_problem, passes
from qharness.storage.json_values import defined

FULL = "none"
PASS = "pass@1"  # noqa: S105 - a metric's name
_PREFIX = 2  # letters of a language's name that a task's name may end with, as in `-py`


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A finished run: its folder and its run.json; `rows` are read when they are asked for."""

    folder: Path
    document: dict[str, Any]

    @property
    def _spec(self) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.document["spec"]
        return spec

    @cached_property
    def spec(self) -> RunSpec:
        """What was run, less where its files were: two runs of one spec are the same run."""
        kept = {name: self._spec[name] for name in RunSpec.__dataclass_fields__ if name in self._spec}
        allowed = {"allow_unsandboxed": False, "allow_untouched": False}
        return RunSpec(**kept | allowed | {"output": Path(), "data_dir": None, "compare": True})

    @property
    def checkpoint(self) -> str | None:
        """The checkpoint that was run, where that is an already quantized form of `model`."""
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
        """The task, without its perturbation."""
        return self.spec.base_task

    @property
    def perturbation(self) -> str:
        """The task's perturbations, as in its name; empty for none."""
        return self.spec.perturbation

    @property
    def seed(self) -> int:
        """Of sampling and of calibration."""
        return self.spec.seed

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
        """The task's name without its language: what its forms in several languages have in common."""
        parts = self.task.split("-")
        kept = [p for p in parts if not (len(p) >= _PREFIX and any(name.startswith(p) for name in self.languages))]
        return "-".join(kept) or self.task

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The task's metrics by name; undefined ones are NaN."""
        found = self.document.get("metrics", {}).get(self.spec.task, {})
        return {name: defined(value) for name, value in found.items()}

    @property
    def counts_passes(self) -> bool:
        """Whether its completions are programs that were run."""
        return PASS in self.metrics and bool(self.languages)

    @property
    def storage_bytes(self) -> int | None:
        """Bytes of the checkpoint as it would be written; None where it is not known."""
        return self._hosting("storage_bytes")

    @property
    def parameters(self) -> int | None:
        """Of the model; None where it is not known."""
        return self._hosting("parameters")

    def _hosting(self, name: str) -> int | None:
        value: int | None = self.document.get("hosting", {}).get(name)
        return value

    @property
    def untouched(self) -> float | None:
        """The share of the blocks' parameters that stayed in full precision; None where it is not known."""
        value: float | None = self.document.get("untouched", {}).get("share")
        return value

    @property
    def generation_s(self) -> float:
        """Seconds that generating all completions took."""
        return defined(self.document.get("timings", {}).get("generation_s"))

    @cached_property
    def rows(self) -> list[SampleRow]:
        """The lines of samples.jsonl; none where a task writes nothing. Raises SamplesError for a damaged file."""
        path = self.folder / SAMPLES
        return SampleRow.of_documents(read_lines(path, ("task", "doc_id", "sample")), path) if path.is_file() else []

    @cached_property
    def problems(self) -> dict[Problem, list[SampleRow]]:
        """The rows of each problem, in the order of samples."""
        return by_problem(self.rows)

    @cached_property
    def passed(self) -> dict[Problem, NDArray[np.bool_]]:
        """Which completions of each problem passed, bool [samples]; empty where no programs were run."""
        return {problem: passes(rows) for problem, rows in self.problems.items() if rows[0].passed is not None}

    @property
    def pass_rates(self) -> dict[Problem, float]:
        """The share of each problem's completions that passed."""
        return {problem: float(passed.mean()) for problem, passed in self.passed.items()}

    def scores(self, metric: str) -> list[float]:
        """A metric of each problem that has it, of its first sample: what lm-eval scores."""
        found = (rows[0].scores for rows in self.problems.values())
        return [float(scores[metric]) for scores in found if metric in scores]

    @property
    def n_problems(self) -> int:
        """How many problems it has completions of."""
        return len(self.problems)

    @property
    def n_samples(self) -> int:
        """The most completions a problem."""
        return max((len(rows) for rows in self.problems.values()), default=0)
