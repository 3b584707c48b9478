"""Every run's completions of every problem, small enough to stand in a page."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Mapping
from typing import Any

from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FinishedRun
from qharness.results import SampleRow
from qharness.storage.json_values import without_lone_surrogates


def pack(data: Mapping[str, Any]) -> str:
    """JSON, gzipped, in base64: nothing in it can be taken for markup. The same each time."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(without_lone_surrogates(text).encode("utf-8"), 9, mtime=0)).decode()


def problem_data(collection: Collection) -> dict[str, Any]:
    """Runs and problems, each distinct completion of a problem once.

    `runs`: {label, task, full, against}, the last being the number of the run it is compared with, full precision on
    the same prompts, or None. `problems`, by task: {doc, name, level, prompts, outcomes, reference, runs}; an outcome
    is [completion, status, detail, score], `runs` maps a run's number to [prompt, [outcome by sample]], as places in
    those lists. The score is 1 or 0 for a program that passed or did not, of a text its first metric; `metrics` has the
    latter's name by task, None for programs.
    """
    entries = [entry for entry in collection.largest if entry.rows]
    places = {id(entry): place for place, entry in enumerate(entries)}
    problems: dict[str, dict[int, _Problem]] = {}
    for place, entry in enumerate(entries):
        for row in entry.rows:
            problems.setdefault(row.base_task, {}).setdefault(row.doc_id, _Problem(row)).add(place, row)
    runs = [
        {
            "label": _label(collection, entry),
            "task": entry.task,
            "full": entry.full,
            "against": places.get(id(_against(collection, entry))),
        }
        for entry in entries
    ]
    listed = {task: [found[doc].document() for doc in sorted(found)] for task, found in problems.items()}
    metrics = {entry.task: None if entry.counts_passes else next(iter(entry.metrics), None) for entry in entries}
    return {"runs": runs, "problems": listed, "metrics": {task: metrics.get(task) for task in listed}}


def _label(collection: Collection, entry: FinishedRun) -> str:
    parts = (
        collection.labels.model(entry),
        collection.labels.calibrated(entry),
        entry.perturbation and f"prompts: {entry.perturbation}",
    )
    return ", ".join(part for part in parts if part)


def _against(collection: Collection, entry: FinishedRun) -> FinishedRun | None:
    """Full precision of a quantized run; of full precision on perturbed prompts, that on the original ones."""
    if not entry.full:
        return collection.baseline_of(entry)
    alike = (e for e in collection.largest if e.full and e.task == entry.task and e.model == entry.model)
    return next((e for e in alike if entry.perturbation and not e.perturbation and e.seed == entry.seed), None)


class _Problem:
    """One problem as it is gathered, row by row."""

    def __init__(self, row: SampleRow) -> None:
        self._named = {"doc": row.doc_id, "name": row.task_id, "level": row.level}
        self._reference = row.reference
        self._prompts: dict[str | None, int] = {}
        self._outcomes: dict[tuple[Any, ...], int] = {}
        self._runs: dict[int, tuple[int, list[int]]] = {}

    def add(self, run: int, row: SampleRow) -> None:
        """One completion."""
        prompt = self._prompts.setdefault(row.prompt, len(self._prompts))
        metrics = row.metrics or {}
        detail = row.detail or ", ".join(f"{name} {value}" for name, value in metrics.items())
        outcome = (row.completion, row.status, detail, _score(row.passed, metrics))
        number = self._outcomes.setdefault(outcome, len(self._outcomes))
        self._runs.setdefault(run, (prompt, []))[1].append(number)

    def document(self) -> dict[str, Any]:
        """As problem_data describes it."""
        return {
            **{name: value if value is None else str(value) for name, value in self._named.items()},
            "reference": self._reference,
            "prompts": list(self._prompts),
            "outcomes": [list(outcome) for outcome in self._outcomes],
            "runs": self._runs,
        }


def _score(passed: bool | None, metrics: Mapping[str, Any]) -> float | None:
    value = next(iter(metrics.values()), None) if passed is None else passed
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
