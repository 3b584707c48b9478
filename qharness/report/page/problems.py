"""Every run's completions of every problem, packed into a text for the page."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Mapping

from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FinishedRun
from qharness.results import SampleRow
from qharness.storage.json_values import JsonObject, without_lone_surrogates


def pack(data: Mapping[str, object]) -> str:
    """JSON, gzipped, in base64, so that nothing in it is markup; equal data give an equal text."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(without_lone_surrogates(text).encode("utf-8"), 6, mtime=0)).decode()


def problem_data(collection: Collection) -> JsonObject:
    """The largest runs and their problems, each distinct completion of a problem once.

    `runs`: {label, task, full, against}; `against` is the number of the run it is compared with, None for none.
    `problems`, by task: {doc, name, level, tests, reference, prompts, outcomes, runs}. An outcome is [completion,
    status, detail, score, program]; the score of a program is 1 if it passed, else 0, that of a text is its first
    metric; the program is what was run of an answer. Its `runs` map the number of a run to the index of its prompt, and
    the index of the outcome of each sample. `metrics`: the name of the metric that scores a task's texts, None for
    programs.
    """
    runs = [run for run in collection.largest if run.rows]
    numbers = {run: number for number, run in enumerate(runs)}
    problems: dict[str, dict[int, _Problem]] = {}
    for run, number in numbers.items():
        for row in run.rows:
            problems.setdefault(row.base_task, {}).setdefault(row.doc_id, _Problem(row)).add(number, row)
    metrics = {run.task: None if run.counts_passes else run.metric or None for run in runs}
    return {
        "runs": [
            {
                "label": _label(collection, run),
                "task": run.task,
                "full": run.full,
                "against": numbers.get(other) if (other := _compared_with(collection, run)) else None,
            }
            for run in runs
        ],
        "problems": {task: [of_task[doc].data() for doc in sorted(of_task)] for task, of_task in problems.items()},
        "metrics": {task: metrics.get(task) for task in problems},
    }


def _label(collection: Collection, run: FinishedRun) -> str:
    prompts = [f"prompts: {run.perturbation}"] if run.perturbation else []
    return ", ".join([collection.labels.model(run), collection.labels.calibrated(run), *prompts])


def _compared_with(collection: Collection, run: FinishedRun) -> FinishedRun | None:
    """Full precision of a quantized run; for full precision on perturbed prompts, the run on the original ones."""
    if not run.full:
        return collection.baseline_of(run)
    key = run.perturbation and (run.task, run.model, run.spec.seed)
    originals = (other for other in collection.largest if other.full and not other.perturbation)
    return next((other for other in originals if (other.task, other.model, other.spec.seed) == key), None)


class _Problem:
    """Collects the rows of one problem."""

    def __init__(self, row: SampleRow) -> None:
        self._row, self._tests = row, row.tests
        self._prompts: dict[str | None, int] = {}
        self._outcomes: dict[tuple[str, str | None, str, float | None, str | None], int] = {}
        self._runs: dict[int, tuple[int, list[int]]] = {}

    def add(self, run: int, row: SampleRow) -> None:
        """Add one completion of a run."""
        self._tests = self._tests or row.tests
        prompt = self._prompts.setdefault(row.prompt, len(self._prompts))
        metrics = row.metrics or {}
        detail = row.detail or ", ".join(f"{name} {value}" for name, value in metrics.items())
        outcome = (row.completion, row.status, detail, _score(row.passed, metrics), row.solution)
        number = self._outcomes.setdefault(outcome, len(self._outcomes))
        self._runs.setdefault(run, (prompt, []))[1].append(number)

    def data(self) -> JsonObject:
        """The problem with all its completions."""
        level = self._row.level
        return {
            "doc": str(self._row.doc_id),
            "name": self._row.task_id,
            "level": None if level is None else str(level),
            "tests": self._tests,
            "reference": self._row.reference,
            "prompts": list(self._prompts),
            "outcomes": list(self._outcomes),
            "runs": self._runs,
        }


def _score(passed: bool | None, metrics: Mapping[str, object]) -> float | None:
    value = next(iter(metrics.values()), None) if passed is None else passed
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
