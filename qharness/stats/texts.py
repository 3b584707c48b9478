"""Compares two runs whose completions are texts with a score, as summaries with BLEU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qharness.errors import SamplesError
from qharness.results import SampleRow
from qharness.results.paired_results import Comparison, Example, ShownText
from qharness.stats.means import paired_means
from qharness.stats.paired import DETECTABLE, clustered, smallest_detectable_difference
from qharness.stats.pairing import Key, RunRows


def compare_texts(first: RunRows, second: RunRows, rng: np.random.Generator, examples: int = 0) -> Comparison:
    """Compare the scored texts of two runs, problem by problem, by the main metric of the first.

    Where a run's rows lack that, they are compared by the first metric that both have.

    `examples` is how many of the problems whose texts differ are shown: those whose scores differ most. Raises
    SamplesError if the runs have no problem or no metric in common.
    """
    a, b = _first_samples(first.texts), _first_samples(second.texts)
    keys = sorted(a.keys() & b.keys())
    shared = [name for key in keys[:1] for name in a[key].scores if name in b[key].scores]
    metric = first.metric if first.metric in shared else next(iter(shared), None)
    if metric is None:
        raise SamplesError("the runs have no scored text in common: they are runs of different tasks")
    keys = [key for key in keys if all(metric in run[key].scores for run in (a, b))]
    scores = np.array([[run[key].scores[metric] for key in keys] for run in (a, b)], dtype=np.float64)
    differences = scores[1] - scores[0]
    by_cluster = clustered(differences, rng)
    changed = [n for n, key in enumerate(keys) if a[key].completion != b[key].completion]
    shown = sorted(changed, key=lambda n: -abs(differences[n]))[:examples]
    return Comparison(
        a=str(first.folder),
        b=str(second.folder),
        metric=metric,
        n_problems=len(keys),
        n_pairs=len(keys),
        coupled=first.coupled(second),
        n_different=len(changed),
        means={metric: paired_means(scores[0], scores[1], by_cluster.ci95, rng)},
        clustered=by_cluster,
        smallest_detectable_difference=smallest_detectable_difference(differences),
        detectable=DETECTABLE,
        examples=[_example(a[keys[n]], b[keys[n]], metric) for n in shown] if examples else None,
    )


def _first_samples(rows: Sequence[SampleRow]) -> dict[Key, SampleRow]:
    """A row a problem: lm-eval scores the first of its samples."""
    return {(row.base_task, row.doc_id): row for row in reversed(rows)}


def _example(first: SampleRow, second: SampleRow, metric: str) -> Example:
    a, b = (ShownText(row.completion, {metric: row.scores[metric]}) for row in (first, second))
    return Example(first.task, first.doc_id, first.task_id, first.prompt, first.reference, a, b)
