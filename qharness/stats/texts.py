"""Compares two runs whose completions are texts with a score, as summaries with BLEU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from qharness.errors import SamplesError
from qharness.specs import TaskName
from qharness.stats.means import paired_means
from qharness.stats.paired import DETECTABLE, clustered, smallest_detectable_difference

_Key = tuple[str, int]
_Row = Mapping[str, Any]


def scored(rows: Iterable[_Row]) -> list[_Row]:
    """The rows that are texts with scores; none of a run of programs."""
    return [row for row in rows if row.get("status") is None and _numbers(row)]


def compare_texts(
    first: Sequence[_Row], second: Sequence[_Row], rng: np.random.Generator, examples: int = 0
) -> dict[str, Any]:
    """Compare two runs' rows, problem by problem, by the first metric that they share.

    `difference` is second less first, and `n_different` counts the problems whose texts differ. `examples` is how
    many of these to show: those whose scores differ most. Raises SamplesError if the runs have no problem or no metric
    in common.
    """
    a, b = _first_samples(first), _first_samples(second)
    keys = sorted(a.keys() & b.keys())
    metric = next((name for key in keys[:1] for name in _numbers(a[key]) if name in _numbers(b[key])), None)
    if metric is None:
        raise SamplesError("the runs have no scored text in common: they are runs of different tasks")
    keys = [key for key in keys if all(metric in _numbers(run[key]) for run in (a, b))]
    scores = np.array([[run[key]["metrics"][metric] for key in keys] for run in (a, b)], dtype=np.float64)
    differences = scores[1] - scores[0]
    by_cluster = clustered(differences, rng)
    changed = [n for n, key in enumerate(keys) if a[key]["completion"] != b[key]["completion"]]
    shown = sorted(changed, key=lambda n: -abs(differences[n]))[:examples]
    return {
        "metric": metric,
        "n_problems": len(keys),
        "n_pairs": len(keys),
        "n_different": len(changed),
        metric: paired_means(scores[0], scores[1], by_cluster.ci95, rng),
        "clustered": {"p_value": by_cluster.p_value, "ci95": list(by_cluster.ci95)},
        "smallest_detectable_difference": smallest_detectable_difference(differences),
        "detectable": DETECTABLE,
        **({"examples": [_example(a[keys[n]], b[keys[n]], metric) for n in shown]} if examples else {}),
    }


def _numbers(row: _Row) -> list[str]:
    """The metrics of a row that are defined."""
    return [name for name, value in (row.get("metrics") or {}).items() if isinstance(value, int | float)]


def _first_samples(rows: Sequence[_Row]) -> dict[_Key, _Row]:
    """A row a problem: lm-eval scores the first of its samples."""
    return {(TaskName.of(row["task"]).base, row["doc_id"]): row for row in reversed(rows)}


def _example(first: _Row, second: _Row, metric: str) -> dict[str, Any]:
    common = {name: first.get(name) for name in ("task", "doc_id", "task_id", "prompt", "reference")}
    return common | {
        side: {"completion": row["completion"], metric: row["metrics"][metric]}
        for side, row in (("a", first), ("b", second))
    }
