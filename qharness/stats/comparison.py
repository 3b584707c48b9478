"""Compares two runs of one task, completion by completion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qharness.errors import SamplesError
from qharness.metrics import pass_at_k
from qharness.metrics.table import stage_metric
from qharness.results import SampleRow
from qharness.results.paired_results import (
    PASS_RATE,
    ComparedExtents,
    Comparison,
    Example,
    Failures,
    LevelComparison,
    PairedCounts,
    PairedMeans,
    PerturbationCost,
    ProblemId,
    PromptForms,
    ShownProgram,
)
from qharness.stats.analyses import PassChange, by_level, changes, failure_kinds
from qharness.stats.intervals import mean_interval
from qharness.stats.means import paired_means
from qharness.stats.paired import DETECTABLE, clustered, mcnemar, smallest_detectable_difference
from qharness.stats.pairing import Pairs, RunRows, all_run, pair, read_run_rows
from qharness.stats.robustness import flips, percentage_drop, rank_tests
from qharness.stats.texts import compare_texts

_Rates = NDArray[np.float64]
_MORE_K = (5, 10)


def compare(run_a: str | Path, run_b: str | Path, *, seed: int = 0, examples: int = 0) -> Comparison:
    """Compare run folder `run_b` with run folder `run_a` (the baseline).

    Completion i of a problem in one is paired with completion i in the other; those that only one has are left out.
    A perturbed task's problems are those of the task. Where the two are perturbed differently, `robustness` says what
    that costs.
    Runs of texts are compared by their score: see compare_texts. `examples` is how many of the problems lost and of
    those won are shown with completions, and of texts how many that differ.
    `difference` is b less a. The seed is that of the permutations and the bootstrap. Raises SamplesError if a folder
    is no whole run, or the two have no completions in common or were run with different options of their language.
    """
    return compare_runs(read_run_rows(Path(run_a)), read_run_rows(Path(run_b)), seed=seed, examples=examples)


def compare_runs(a: RunRows, b: RunRows, *, seed: int = 0, examples: int = 0) -> Comparison:
    """Compare run `b` with run `a`, as `compare` does, from rows that have been read."""
    if a.language != b.language:
        options = " and ".join(each.language or "none" for each in (a, b))
        raise SamplesError(f"{a.folder} and {b.folder} have verdicts by different --language options: {options}")
    rng = np.random.default_rng(seed)
    prompts = None if a.prompting == b.prompting else PromptForms(a.prompting, b.prompting)
    extents = None if a.places == b.places else ComparedExtents(a.extent, b.extent)
    if a.texts and b.texts:
        return replace(compare_texts(a, b, rng, examples), prompts=prompts, extents=extents)
    problems = pair(all_run(a.rows, a.folder), all_run(b.rows, b.folder))
    if not problems:
        raise SamplesError(f"{a.folder} and {b.folder} have no completion in common: they are runs of different tasks")
    rates_a, rates_b = _rates(problems)
    differences = rates_b - rates_a
    pairs = [both for each in problems for both in zip(each.first, each.second, strict=True)]
    by_cluster = clustered(differences, rng)
    main = paired_means(rates_a, rates_b, by_cluster.ci95, rng)
    fewest = min(len(each.first) for each in problems)
    first, second = (np.concatenate(column) for column in zip(*(each.passed for each in problems), strict=True))
    lost, won = changes(problems)
    return Comparison(
        a=str(a.folder),
        b=str(b.folder),
        prompts=prompts,
        extents=extents,
        n_problems=len(problems),
        n_pairs=len(pairs),
        coupled=a.coupled(b),
        means={PASS_RATE: main}
        | {f"pass@{k}": _pass_at(problems, k, rng) for k in _MORE_K if k <= fewest}
        | {stage_metric(stage, 1): _pass_at(problems, 1, rng, stage) for stage in _stages(pairs)},
        paper=mcnemar(first, second),
        clustered=by_cluster,
        ranks=rank_tests(rates_a, rates_b),
        smallest_detectable_difference=smallest_detectable_difference(differences),
        detectable=DETECTABLE,
        failures=_failures(pairs),
        levels=_levels(pairs) or None,
        lost=[each.problem for each in lost],
        won=[each.problem for each in won],
        examples=[_example(each) for each in (*lost[:examples], *won[:examples])] if examples else None,
        robustness=_robustness(problems) if a.task.perturbation != b.task.perturbation else None,
        counts=paired_counts(problems),
    )


def comparable(rows: Sequence[SampleRow]) -> bool:
    """Whether a finished run's rows hold passes and failures, or texts with scores."""
    return any(row.passed is not None or row.is_text for row in rows)


def _rates(problems: Sequence[Pairs]) -> tuple[_Rates, _Rates]:
    """Pass rates of both runs, float64 [problems] each."""
    first, second = np.array([each.rates for each in problems]).T
    return first, second


def paired_counts(problems: Sequence[Pairs]) -> list[PairedCounts]:
    """Count the problems by how many of their pairs passed in which run; the counts are sorted."""
    kinds: Counter[tuple[int, int, int, int]] = Counter()
    for each in problems:
        first, second = each.passed
        parts = (first & second, first & ~second, ~first & second, ~first & ~second)
        both, a_only, b_only, neither = (int(part.sum()) for part in parts)
        kinds[both, a_only, b_only, neither] += 1
    return [PairedCounts(*kind, count) for kind, count in sorted(kinds.items())]


def _pass_at(problems: Sequence[Pairs], k: int, rng: np.random.Generator, stage: str = "") -> PairedMeans:
    """pass@k of both runs' paired completions, of all tests or of a stage; each problem has at least `k`."""
    passed = [[[_passed(row, stage) for row in run] for run in (each.first, each.second)] for each in problems]
    rates = [[pass_at_k(len(run), sum(run), k) for run in both] for both in passed]
    first, second = np.array(rates, dtype=np.float64).T
    difference = mean_interval(second - first, rng)
    return paired_means(first, second, (difference.low, difference.high), rng)


def _passed(row: SampleRow, stage: str) -> bool:
    return stage in (row.stages or ()) if stage else bool(row.passed)


def _stages(pairs: Sequence[tuple[SampleRow, SampleRow]]) -> list[str]:
    """The stages of tests, but the last, that any of these completions passed."""
    rows = (row for both in pairs for row in both if row.stages)
    return list(dict.fromkeys(name for row in rows for name in (row.stages or ())[: -1 if row.passed else None]))


def _failures(pairs: Sequence[tuple[SampleRow, SampleRow]]) -> Failures:
    lost = (second for first, second in pairs if first.passed and not second.passed)
    return Failures(
        failure_kinds(first for first, _ in pairs), failure_kinds(second for _, second in pairs), failure_kinds(lost)
    )


def _levels(pairs: Sequence[tuple[SampleRow, SampleRow]]) -> Mapping[str, LevelComparison]:
    """Levels that both runs have, by name."""
    a, b = by_level(first for first, _ in pairs), by_level(second for _, second in pairs)
    lost = Counter(str(first.level) for first, second in pairs if first.passed and not second.passed)
    won = Counter(str(first.level) for first, second in pairs if second.passed and not first.passed)
    return {
        level: LevelComparison(of.n_problems, of.n_samples, of.pass_rate, b[level].pass_rate, lost[level], won[level])
        for level, of in a.items()
        if level in b
    }


def _example(change: PassChange) -> Example:
    """A problem with one pair of its completions."""
    problem = change.problem
    a, b = (
        ShownProgram({PASS_RATE: rate}, row.sample, row.completion, row.status, row.detail)
        for rate, row in ((problem.a, change.first), (problem.b, change.second))
    )
    return Example(problem.task, problem.doc_id, problem.task_id, change.first.prompt, None, a, b)


def _robustness(problems: Sequence[Pairs]) -> PerturbationCost:
    """The cost of run B's prompts against run A's."""
    before, after = _rates(problems)
    found = flips(dict(enumerate(before.tolist())), dict(enumerate(after.tolist())))
    broken, mended = ([ProblemId(*problems[n].key) for n in numbers] for numbers in (found.broken, found.mended))
    return PerturbationCost(percentage_drop(float(before.mean()), float(after.mean())), broken, mended)
