"""Compares two runs of one task, completion by completion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qharness.errors import SamplesError
from qharness.evaluate.folder import SAMPLES, read_lines, read_run
from qharness.stats.paired import clustered, mcnemar, smallest_detectable_difference
from qharness.stats.robustness import flips, percentage_drop
from qharness.stats.texts import compare_texts, read_texts

_Key = tuple[str, int, int]
_Rates = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Comparison:
    """What `compare` found: the document of DESIGN's contract; undefined figures are NaN."""

    document: dict[str, Any]


def compare(run_a: str | Path, run_b: str | Path, *, seed: int = 0, examples: int = 0) -> Comparison:
    """Compare run folder `run_b` with run folder `run_a` (the baseline).

    Completion i of a problem in one is paired with completion i in the other; those that only one has are left out.
    A perturbed task's problems are those of the task. Where the two are perturbed differently, `robustness` says what
    that costs.
    Runs of texts are compared by their score, and show `examples` of what differs: see compare_texts.
    `difference` is b less a. The seed is that of the permutations and the bootstrap. Raises SamplesError if a folder
    is no whole run or the two have no completions in common.
    """
    texts = [read_texts(Path(folder)) if read_run(Path(folder)) else [] for folder in (run_a, run_b)]
    if all(texts):
        found = compare_texts(texts[0], texts[1], np.random.default_rng(seed), examples)
        return Comparison({"a": str(run_a), "b": str(run_b), **found})
    a, b = _passed(Path(run_a)), _passed(Path(run_b))
    keys = sorted(a.keys() & b.keys())
    if not keys:
        raise SamplesError(f"{run_a} and {run_b} have no completion in common: they are runs of different tasks")
    first, second = (np.array([run[key] for key in keys]) for run in (a, b))
    rates_a, rates_b = _by_problem(keys, first), _by_problem(keys, second)
    differences = rates_b - rates_a
    pooled = mcnemar(first, second)
    by_cluster = clustered(differences, np.random.default_rng(seed))
    robustness = _robustness(keys, rates_a, rates_b) if _perturbation(run_a) != _perturbation(run_b) else {}
    return Comparison(
        {
            "a": str(run_a),
            "b": str(run_b),
            "n_problems": len(differences),
            "n_pairs": len(keys),
            "pass@1": {
                "a": float(rates_a.mean()),
                "b": float(rates_b.mean()),
                "difference": float(differences.mean()),
                "ci95": list(by_cluster.ci95),
            },
            "paper": {"p_value": pooled.p_value, "odds_ratio": pooled.odds_ratio, "b": pooled.b, "c": pooled.c},
            "clustered": {"p_value": by_cluster.p_value, "ci95": list(by_cluster.ci95)},
            "smallest_detectable_difference": smallest_detectable_difference(differences),
            **robustness,
        }
    )


def comparable(folder: Path) -> bool:
    """Whether a finished run holds passes and failures, or texts with scores."""
    if not (folder / SAMPLES).is_file():
        return False
    rows = read_lines(folder / SAMPLES, ("passed",))
    return any(row["passed"] is not None for row in rows) or bool(read_texts(folder))


def _perturbation(folder: str | Path) -> str:
    document = read_run(Path(folder)) or {}
    return str(document.get("spec", {}).get("task", "")).partition("@")[2]


def _robustness(keys: list[_Key], before: _Rates, after: _Rates) -> dict[str, Any]:
    """Drop in percent and flipped problems: of run B's prompts against run A's."""
    problems = list(dict.fromkeys((task, document) for task, document, _ in keys))
    rates = (dict(enumerate(values.tolist())) for values in (before, after))
    found = {
        kind: [{"task": problems[n][0], "doc_id": problems[n][1]} for n in numbers]
        for kind, numbers in asdict(flips(*rates)).items()
    }
    return {"robustness": {"drop_percent": percentage_drop(float(before.mean()), float(after.mean())), **found}}


def _passed(folder: Path) -> Mapping[_Key, bool]:
    """Whether each completion of a run passed, by (task, document, sample)."""
    if read_run(folder) is None:
        raise SamplesError(f"{folder} is no finished run: it has no readable run.json")
    if not (folder / SAMPLES).is_file():
        raise SamplesError(f"{folder} has no {SAMPLES}: its task runs no programs, so there are no passes to compare")
    rows = read_lines(folder / SAMPLES, ("task", "doc_id", "sample", "passed"))
    if any(row["passed"] is None for row in rows):
        raise SamplesError(f"{folder} holds completions that were not run: there are no passes to compare")
    return {(row["task"].partition("@")[0], row["doc_id"], row["sample"]): bool(row["passed"]) for row in rows}


def _by_problem(keys: list[_Key], passed: np.ndarray[Any, np.dtype[np.bool_]]) -> _Rates:
    """Pass rate of each problem, float64 [problems], in the order of the keys."""
    problems: dict[tuple[str, int], list[bool]] = {}
    for (task, document, _), each in zip(keys, passed, strict=True):
        problems.setdefault((task, document), []).append(bool(each))
    return np.array([np.mean(each) for each in problems.values()])
