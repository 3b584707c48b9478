"""Compares two runs of one task, completion by completion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qharness.errors import SamplesError
from qharness.metrics import pass_at_k
from qharness.stats.analyses import PassChange, by_level, changed, failure_kinds
from qharness.stats.intervals import mean_interval
from qharness.stats.means import paired_means
from qharness.stats.paired import DETECTABLE, clustered, mcnemar, smallest_detectable_difference
from qharness.stats.pairing import Pairs, Row, RunRows, all_run, pair, read_run_rows
from qharness.stats.robustness import flips, percentage_drop, rank_tests
from qharness.stats.texts import compare_texts, scored

_Rates = np.ndarray[Any, np.dtype[np.float64]]
_MORE_K = (5, 10)


@dataclass(frozen=True)
class Comparison:
    """What `compare` found: the document of DESIGN's contract; undefined figures are NaN."""

    document: dict[str, Any]


def compare(run_a: str | Path, run_b: str | Path, *, seed: int = 0, examples: int = 0) -> Comparison:
    """Compare run folder `run_b` with run folder `run_a` (the baseline).

    Completion i of a problem in one is paired with completion i in the other; those that only one has are left out.
    A perturbed task's problems are those of the task. Where the two are perturbed differently, `robustness` says what
    that costs.
    Runs of texts are compared by their score: see compare_texts. `examples` is how many of the problems lost and of
    those won are shown with completions, and of texts how many that differ.
    `difference` is b less a. The seed is that of the permutations and the bootstrap. Raises SamplesError if a folder
    is no whole run or the two have no completions in common.
    """
    return compare_runs(read_run_rows(Path(run_a)), read_run_rows(Path(run_b)), seed=seed, examples=examples)


def compare_runs(a: RunRows, b: RunRows, *, seed: int = 0, examples: int = 0) -> Comparison:
    """Compare run `b` with run `a`, as `compare` does, from rows that have been read."""
    texts = [scored(each.rows) for each in (a, b)]
    if all(texts):
        found = compare_texts(texts[0], texts[1], np.random.default_rng(seed), examples)
        return Comparison({"a": str(a.folder), "b": str(b.folder), **found})
    problems = pair(all_run(a.rows, a.folder), all_run(b.rows, b.folder))
    if not problems:
        raise SamplesError(f"{a.folder} and {b.folder} have no completion in common: they are runs of different tasks")
    robustness = _robustness(problems) if a.task.perturbation != b.task.perturbation else {}
    return Comparison(
        {
            "a": str(a.folder),
            "b": str(b.folder),
            **_tests(problems, np.random.default_rng(seed)),
            **_analyses(problems, examples),
            **robustness,
        }
    )


def comparable(rows: Sequence[Row]) -> bool:
    """Whether a finished run's rows hold passes and failures, or texts with scores."""
    return any(row["passed"] is not None for row in rows) or bool(scored(rows))


def _tests(problems: Sequence[Pairs], rng: np.random.Generator) -> dict[str, Any]:
    """Rates, intervals and p-values."""
    rates_a, rates_b = _rates(problems)
    differences = rates_b - rates_a
    first, second = (np.concatenate(column) for column in zip(*(each.passed for each in problems), strict=True))
    pooled = mcnemar(first, second)
    by_cluster = clustered(differences, rng)
    at_1 = paired_means(rates_a, rates_b, by_cluster.ci95, rng)
    fewest = min(len(each.first) for each in problems)
    more = {f"pass@{k}": _pass_at(problems, k, rng) for k in _MORE_K if k <= fewest}
    return {
        "n_problems": len(problems),
        "n_pairs": len(first),
        "pass@1": at_1,
        **more,
        "paper": {"p_value": pooled.p_value, "odds_ratio": pooled.odds_ratio, "b": pooled.b, "c": pooled.c},
        "clustered": {"p_value": by_cluster.p_value, "ci95": list(by_cluster.ci95)},
        "ranks": asdict(rank_tests(rates_a, rates_b)),
        "smallest_detectable_difference": smallest_detectable_difference(differences),
        "detectable": DETECTABLE,
    }


def _rates(problems: Sequence[Pairs]) -> tuple[_Rates, _Rates]:
    """Pass rates of both runs, float64 [problems] each."""
    first, second = np.array([each.rates for each in problems]).T
    return first, second


def _pass_at(problems: Sequence[Pairs], k: int, rng: np.random.Generator) -> dict[str, Any]:
    """pass@k of both runs' paired completions; each problem has at least `k`."""
    first, second = np.array(
        [[pass_at_k(len(run), int(run.sum()), k) for run in each.passed] for each in problems], dtype=np.float64
    ).T
    difference = mean_interval(second - first, rng)
    return paired_means(first, second, (difference.low, difference.high), rng)


def _analyses(problems: Sequence[Pairs], examples: int) -> dict[str, Any]:
    """What failed how, by level where there are any, and which problems were lost and won."""
    pairs = [both for each in problems for both in zip(each.first, each.second, strict=True)]
    levels = _levels(pairs)
    lost, won = changed(problems)
    return {
        "failures": {
            "a": failure_kinds(first for first, _ in pairs),
            "b": failure_kinds(second for _, second in pairs),
            "lost_pairs": failure_kinds(second for first, second in pairs if first["passed"] and not second["passed"]),
        },
        **({"levels": levels} if levels else {}),
        "lost": [_summary(each) for each in lost],
        "won": [_summary(each) for each in won],
        **({"examples": [_example(each) for each in (*lost[:examples], *won[:examples])]} if examples else {}),
    }


def _levels(pairs: Sequence[tuple[Row, Row]]) -> dict[str, Any]:
    """Both runs' pass@1 by level, and how many pairs passed in one run only; levels that both runs tell."""
    a, b = by_level(first for first, _ in pairs), by_level(second for _, second in pairs)
    lost, won = Counter[str](), Counter[str]()
    for first, second in pairs:
        lost[str(first.get("level"))] += first["passed"] and not second["passed"]
        won[str(first.get("level"))] += second["passed"] and not first["passed"]
    return {
        level: {
            "n_problems": of.n_problems,
            "n_samples": of.n_samples,
            "a": of.pass_at_1,
            "b": b[level].pass_at_1,
            "lost_pairs": lost[level],
            "won_pairs": won[level],
        }
        for level, of in a.items()
        if level in b
    }


def _summary(change: PassChange) -> dict[str, Any]:
    return {name: getattr(change, name) for name in ("task", "doc_id", "task_id", "a", "b")}


def _example(change: PassChange) -> dict[str, Any]:
    """A problem with one pair of its completions, as compare_texts shows texts."""
    sides = (("a", change.a, change.first), ("b", change.b, change.second))
    return {
        **{name: getattr(change, name) for name in ("task", "doc_id", "task_id")},
        "prompt": change.first.get("prompt"),
        **{
            side: {"pass@1": rate, **{name: row.get(name) for name in ("sample", "completion", "status", "detail")}}
            for side, rate, row in sides
        },
    }


def _robustness(problems: Sequence[Pairs]) -> dict[str, Any]:
    """Drop in percent and flipped problems: of run B's prompts against run A's."""
    before, after = _rates(problems)
    rates = (dict(enumerate(values.tolist())) for values in (before, after))
    found = {
        kind: [{"task": problems[n].key[0], "doc_id": problems[n].key[1]} for n in numbers]
        for kind, numbers in asdict(flips(*rates)).items()
    }
    return {"robustness": {"drop_percent": percentage_drop(float(before.mean()), float(after.mean())), **found}}
