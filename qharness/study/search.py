"""Searches for the smallest quantized model that holds, and makes no more completions than it takes to know."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from qharness.errors import QHarnessError
from qharness.evaluate.run.drawn_run import DrawnRun, require_drawable
from qharness.evaluate.run.lm_eval_bridge import LoadedTask, quiet
from qharness.evaluate.run.run_folder import completions_in
from qharness.evaluate.run.run_plan import claimed, plan_run
from qharness.execution import keeping_workers
from qharness.models.weight_footprint import checkpoint_figures
from qharness.progress import kept_when_stopped, note
from qharness.quantization.backends import find_backend
from qharness.quantization.quantized_models import Models
from qharness.quantization.resolution import ResolvedModel, bind_model, resolve
from qharness.results import RunResult, VerdictClass
from qharness.specs import Drawn, RunSpec
from qharness.stats.betting import Floats, p_value_path
from qharness.stats.intervals import LEVEL
from qharness.stats.sequential_verdict import SequentialRule
from qharness.storage.benchmark_files import FilesRead, recording
from qharness.storage.json_values import defined
from qharness.study.compared_results import compared
from qharness.study.jobs import baseline_of
from qharness.study.run_jobs import check_backends, check_model, checked_task

BATCH = 64
"""Pairs of completions between two looks."""


@dataclass(frozen=True)
class SearchSpec:
    """A search: the run of each task, in full precision, and the candidates' quantizers.

    `runs`: alike but for their task. `order`: the seed of the order of completions. `minutes`: how long to search; None
    for as long as it takes.
    """

    runs: Sequence[RunSpec]
    quants: Sequence[str]
    order: int = 0
    minutes: float | None = None


@dataclass
class TaskSearch:
    """A candidate on one task, as far as it has been searched. `pairs`: of completions used, of `of`."""

    task: str
    verdict: VerdictClass = VerdictClass.CANNOT_TELL
    pairs: int = 0
    of: int = 0
    full: float = math.nan
    quantized: float = math.nan
    interval: tuple[float, float] = (-1.0, 1.0)


@dataclass
class SearchedCandidate:
    """A candidate of a search. `size`: bytes of its checkpoint, NaN where unknown; `seconds`: spent on it."""

    quant: str
    size: float
    tasks: list[TaskSearch] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def verdict(self) -> VerdictClass | None:
        """The verdict on all tasks, as far as it is known; None for a candidate that was not tried."""
        return VerdictClass.on_all(each.verdict for each in self.tasks)


@dataclass(frozen=True)
class SearchResult:
    """The candidates, smallest first, the runs that were made, and full precision's bytes and pairs.

    `programs`: how many completions were made or found, of `of` that running everything would take.
    """

    candidates: Sequence[SearchedCandidate]
    runs: Sequence[RunResult]
    full_size: float
    programs: int
    of: int
    seconds: float

    @property
    def chosen(self) -> SearchedCandidate | None:
        """The smallest candidate that holds, if one was found."""
        return next((each for each in self.candidates if each.verdict is VerdictClass.HOLDS), None)


@dataclass(frozen=True)
class _PlannedSearch:
    """The models, smallest candidate first, with the runs of each on every task, and the files that tasks read."""

    full: ResolvedModel
    candidates: Sequence[tuple[ResolvedModel, float]]
    tasks: Mapping[str, LoadedTask]
    files: Mapping[str, FilesRead]


def choose(spec: SearchSpec) -> SearchResult:
    """Search the candidates, smallest first, until one holds on all tasks, or none is left, or the time is up.

    A candidate that loses frees the time for the next. Each gets its share of the error: with m candidates, *holds* is
    said wrongly of one with a probability of at most 0.05 / m, so of any with at most 0.05. Raises QHarnessError,
    before a model is loaded, for a mistake in the spec.
    """
    with quiet(), keeping_workers():
        return _SmallestSearch(spec, _prepare(spec)).run()


def _prepare(spec: SearchSpec) -> _PlannedSearch:
    """Find every mistake there is to find before a model is loaded, and order the candidates by their bytes."""
    first = spec.runs[0]
    if first.max_loss.relative:
        raise QHarnessError("choose takes --max-loss in points, not in percent of full precision's pass@1")
    if "none" in spec.quants:
        raise QHarnessError("--quant none is full precision, which candidates are compared with: leave it out")
    bound = [bind_model(replace(first, quant=quant).model_spec) for quant in dict.fromkeys(spec.quants)]
    smallest = resolve(bound[0])
    models = [smallest, *(resolve(each, smallest.source) for each in bound[1:])]
    full = smallest.full_precision(check_model(first, smallest))
    tasks, files = {}, {}
    for each in spec.runs:
        with recording() as read:
            tasks[each.task] = checked_task(each)
        files[each.task] = read
    sized = [(model, _bytes(model)) for model in models]
    sized.sort(key=lambda each: (math.isnan(each[1]), each[1]))  # of one size, in the order given
    runs = [
        plan_run(_drawn(each, model, spec.order), model, tasks[each.task]) for model, _ in sized for each in spec.runs
    ]
    for run in runs:
        require_drawable(run)
    check_backends([*runs, *(plan_run(baseline_of(each), full, tasks[each.task]) for each in spec.runs)])
    return _PlannedSearch(full, sized, tasks, files)


def _bytes(model: ResolvedModel) -> float:
    """The size of a model's checkpoint; NaN where it is not known."""
    return defined(checkpoint_figures(model.source, model.quantizer).storage_bytes)


def _drawn(run: RunSpec, model: ResolvedModel, order: int) -> RunSpec:
    return replace(run, quant=model.spec.quant, calib=model.spec.calib, drawn=Drawn(order))


class _SmallestSearch:
    """A search at work."""

    def __init__(self, spec: SearchSpec, plan: _PlannedSearch) -> None:
        self._spec, self._plan = spec, plan
        self._models, self._full_models = Models(), Models()
        self._stack = ExitStack()
        self._baselines: dict[str, DrawnRun] = {}
        self._made: list[DrawnRun] = []
        self._start = time.monotonic()

    def run(self) -> SearchResult:
        """Search, and write the folders of all runs that were begun."""
        candidates = [SearchedCandidate(model.spec.quant, size) for model, size in self._plan.candidates]
        with kept_when_stopped(lambda: self._kept(candidates)), self._stack:
            for candidate, (model, _) in zip(candidates, self._plan.candidates, strict=True):
                if self._time_is_up:
                    break
                self._try(candidate, model)
                if candidate.verdict in (VerdictClass.HOLDS, VerdictClass.SAYS_NOTHING):
                    break  # where full precision is at the floor, no candidate can be judged
            runs = self._written()
        drawn = [each.drawn for each in (*self._baselines.values(), *self._made)]
        whole = sum(each.size for each in self._baselines.values()) * (1 + len(candidates))
        return SearchResult(
            candidates, runs, _bytes(self._plan.full), sum(drawn), whole, time.monotonic() - self._start
        )

    def _kept(self, candidates: Sequence[SearchedCandidate]) -> str:
        """What an interrupted search leaves."""
        made = sum(completions_in(each.run.folder) for each in (*self._baselines.values(), *self._made))
        undecided = (None, VerdictClass.CANNOT_TELL)
        judged = sum(each.verdict not in undecided for each in candidates)
        folder = self._spec.runs[0].output
        return f"{judged} of {len(candidates)} candidates are judged, and {made} completions are kept in {folder}"

    @property
    def _time_is_up(self) -> bool:
        minutes = self._spec.minutes
        return minutes is not None and time.monotonic() - self._start >= 60 * minutes

    def _try(self, candidate: SearchedCandidate, model: ResolvedModel) -> None:
        """Look at a candidate, task by task, until it loses on one or holds on all."""
        start = time.monotonic()
        for run in self._spec.runs:
            found = TaskSearch(run.task)
            candidate.tasks.append(found)
            baseline = self._baseline(run)
            drawn = self._begun(_drawn(run, model, self._spec.order), model, self._models)
            self._made.append(drawn)
            self._look(found, baseline, drawn, candidate.quant)
            if found.verdict is not VerdictClass.HOLDS:
                break
        candidate.seconds = time.monotonic() - start

    def _look(self, found: TaskSearch, baseline: DrawnRun, drawn: DrawnRun, quant: str) -> None:
        """Draw pairs until they tell."""
        count, found.of = 0, drawn.size
        level = LEVEL / len(self._plan.candidates)
        rule = SequentialRule(drawn.size, self._margin, level, level / len(self._spec.runs))
        while count < drawn.size and not (count and self._time_is_up):
            count = min(count + BATCH, drawn.size)
            full, quantized = baseline.passed(count), drawn.passed(count)
            losses = full - quantized
            found.pairs, found.full, found.quantized = count, float(full.mean()), float(quantized.mean())
            found.interval = rule.interval(losses)
            low, high = (f"{100 * end:.1f}" for end in found.interval)
            note(f"{quant} on {found.task}: {count} of {drawn.size} pairs, loss between {low} and {high} points")
            found.verdict = self._verdict(rule, losses, full)
            if found.verdict is not VerdictClass.CANNOT_TELL:
                return

    def _verdict(self, rule: SequentialRule, losses: Floats, full: Floats) -> VerdictClass:
        """The rule's verdict; *holds* only once full precision is shown to pass more than could be lost."""
        verdict = rule.judge(losses).verdict
        if verdict is not VerdictClass.HOLDS or self._shows(full, rule.size):
            return verdict
        return VerdictClass.SAYS_NOTHING if len(full) == rule.size else VerdictClass.CANNOT_TELL

    def _shows(self, full: Floats, size: int) -> bool:
        """Whether full precision's pass@1 is shown to be above the margin."""
        if len(full) == size:
            return float(full.mean()) > self._margin
        return bool(p_value_path(-full, size, -self._margin)[-1] <= LEVEL)

    @property
    def _margin(self) -> float:
        return self._spec.runs[0].max_loss.fraction

    def _baseline(self, run: RunSpec) -> DrawnRun:
        if run.task not in self._baselines:
            full = replace(baseline_of(run), drawn=Drawn(self._spec.order))
            self._baselines[run.task] = self._begun(full, self._plan.full, self._full_models)
        return self._baselines[run.task]

    def _begun(self, spec: RunSpec, model: ResolvedModel, models: Models) -> DrawnRun:
        """A run whose folder is kept from other processes until the search ends."""
        plan = plan_run(spec, model, self._plan.tasks[spec.task])
        self._stack.enter_context(claimed(plan, wait=True))
        made = find_backend(spec.backend).make(models, model, spec.batch_size)
        return DrawnRun(plan, made, self._plan.files[spec.task].digests)

    def _written(self) -> list[RunResult]:
        """The runs in their folders, candidates compared with full precision."""
        baselines = {task: each.write() for task, each in self._baselines.items() if each.drawn}
        runs = [
            compared(each.write(), baselines[each.run.spec.task], each.run.spec.max_loss)
            for each in self._made
            if each.drawn and each.run.spec.task in baselines
        ]
        return [*baselines.values(), *runs]
