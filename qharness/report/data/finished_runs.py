"""Finished runs as a report reads them."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qharness.evaluate.run.run_folder import SAMPLES, read_lines
from qharness.metrics.table import stage_and_k
from qharness.results import RunResult, SampleRow
from qharness.results.paired_results import PASS_RATE
from qharness.specs import RAW, MaxLoss, RunSpec
from qharness.stats.analyses import failure_kinds
from qharness.stats.intervals import Interval, mean_interval, pass_at_k_interval
from qharness.stats.pairing import Key as Problem
from qharness.stats.pairing import RunRows, by_problem, passes, run_rows

FULL = "none"
_SEED = 0  # of the bootstrap
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
    prompting: str
    language: str | None

    def texts(self) -> dict[str, str]:
        """Each setting in words, by its name."""
        texts = {name: f"{name.replace('_', ' ')} {value}" for name, value in vars(self).items()}
        prompts = "raw prompts" if self.prompting == RAW else self.prompting
        return texts | {
            "limit": "all problems" if self.limit is None else f"{self.limit} problems",
            "prompting": prompts,
            "language": self.language or "no options of the language",
        }


@dataclass(frozen=True, order=True)
class RunExtent:
    """How many problems and samples of each were asked for; infinitely many problems stands for all.

    A run of pairs that `choose` drew has as many problems as its pairs would fill.
    """

    problems: float
    samples: int

    @classmethod
    def of(cls, spec: RunSpec) -> RunExtent:
        """The extent that a run's spec asks for."""
        samples = spec.samples or 0
        if spec.drawn:
            return cls(spec.drawn.pairs / max(1, samples), samples)
        return cls(math.inf if spec.limit is None else spec.limit, samples)


class FinishedRun:
    """A finished run: its folder and its run.json. `rows`, of samples.jsonl, are read on first use.

    `spec`: without the places of files, which do not tell runs apart. `model`: in full precision. `checkpoint`: the
    model that was run, if that is an already quantized form of `model`. `quant`, `calib`: spec texts; `none` quantizes
    nothing. `full`: whether this is full precision. `task`: without its `perturbation`, which is empty for none.
    `setup`: runs that share it differ only in how their model is quantized. `languages`: of the programs that were run.
    `metrics`: those of the task; undefined ones are NaN. `metric`: the one that the task declares as its main, or the
    first, and `score` its value. `storage_bytes`: of the checkpoint as it would be written. `untouched`: the fraction
    of the blocks' parameters that stayed in full precision. `baseline`: run.json's comparison with full precision.
    """

    def __init__(self, result: RunResult) -> None:
        self.result, self.folder, record = result, result.folder, result.record
        self.spec = spec = dataclasses.replace(
            record.spec,
            allow_unsandboxed=False,
            allow_untouched=False,
            output=Path(),
            data_dir=None,
            compare=True,
            max_loss=MaxLoss(),
        )
        self.model = spec.baseline or spec.model
        self.checkpoint = None if spec.model == self.model else spec.model
        self.quant, self.calib = spec.quant, spec.calib
        self.full = spec.quant == FULL and self.checkpoint is None
        self.task, self.perturbation = spec.base_task, spec.perturbation
        self.setting = RunSetting(**{name: getattr(spec, name) for name in RunSetting.__dataclass_fields__})
        self.setup = self.model, spec.task, self.setting
        self.extent = RunExtent.of(spec)
        self.languages = tuple(sorted(record.versions.toolchains))
        self.language = ", ".join(self.languages)
        self.metrics, self.metric = record.own_metrics, record.main_metric.name if record.main_metric else ""
        self.score = self.metrics.get(self.metric, math.nan)
        self.counts_passes = PASS_RATE in self.metrics and bool(self.languages)
        self.storage_bytes, self.parameters = record.hosting.storage_bytes, record.hosting.parameters
        self.untouched = record.untouched.share if record.untouched else None
        self.baseline = record.baseline

    @property
    def benchmark(self) -> str:
        """The task's name without its language, which its forms in several languages share."""
        parts = self.task.split("-")
        others = [part for part in parts if not any(_names(part, language) for language in self.languages)]
        return "-".join(others) or self.task

    @property
    def stage_metrics(self) -> dict[str, str]:
        """The metrics that are pass@1 of one stage of the tests, by the stage's name; none of a task without stages."""
        parsed = {name: stage_and_k(name) for name in self.metrics}
        return {of[0]: name for name, of in parsed.items() if of and of[0] and of[1] == 1}

    @cached_property
    def rows(self) -> list[SampleRow]:
        """The lines of samples.jsonl; none where a task writes nothing. Raises SamplesError for a damaged file."""
        path = self.folder / SAMPLES
        return SampleRow.of_documents(read_lines(path, ("task", "doc_id", "sample")), path) if path.is_file() else []

    @cached_property
    def run_rows(self) -> RunRows:
        """The rows as comparisons take them. Raises SamplesError where a task writes none."""
        return run_rows(self.result.record, self.folder, self.rows)

    @cached_property
    def problems(self) -> dict[Problem, list[SampleRow]]:
        """The rows of each problem, in the order of samples."""
        return by_problem(self.rows)

    @cached_property
    def passed(self) -> dict[Problem, NDArray[np.bool_]]:
        """Which completions of each problem passed, bool [samples]; empty where no programs were run."""
        return {problem: passes(rows) for problem, rows in self.problems.items() if rows[0].passed is not None}

    @cached_property
    def failure_counts(self) -> dict[str, int]:
        """How many completions ended in each way."""
        return failure_kinds(self.rows)

    @cached_property
    def score_interval(self) -> Interval:
        """The score of the completions at hand with its 95% interval, by bootstrap over problems; NaN where undefined.

        Of texts, the value is the one in run.json, which need not be the mean of its documents.
        """
        rng = np.random.default_rng(_SEED)
        if self.counts_passes:
            return pass_at_k_interval(list(self.passed.values()), 1, rng)
        return dataclasses.replace(mean_interval(np.array(self.scores(self.metric)), rng), value=self.score)

    def scores(self, metric: str) -> list[float]:
        """The metric of each problem's first sample, which lm-eval scores; problems without it are left out."""
        scores = (rows[0].scores for rows in self.problems.values())
        return [float(each[metric]) for each in scores if metric in each]

    @property
    def n_problems(self) -> int:
        """The number of problems with completions."""
        return len(self.problems)

    @property
    def n_samples(self) -> int:
        """The most completions of one problem."""
        return max((len(rows) for rows in self.problems.values()), default=0)


def _names(part: str, language: str) -> bool:
    """Whether a part of a task's name is a language's name, or its beginning."""
    return part == language or (len(part) >= _PREFIX and language.startswith(part))
