"""Measures of the cost of perturbed prompts (Wei et al. 2023, section IV.C, table VII)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qharness.evaluate.run.run_folder import SAMPLES, read_lines
from qharness.results import SampleRow
from qharness.results.paired_results import RankTests
from qharness.stats.pairing import all_run, passes

SOLVED = 0.5
"""The pass rate from which a problem counts as solved; with greedy decoding it is 0 or 1."""


def percentage_drop(unperturbed: float, perturbed: float) -> float:
    """100 (unperturbed - perturbed) / unperturbed, of pass rates; NaN where `unperturbed` is 0.

    A lower drop is more robust; it is negative where the perturbation helps.
    """
    return 100 * (unperturbed - perturbed) / unperturbed if unperturbed > 0 else math.nan


_EXACT_UP_TO = 50
"""Problems up to which the signed-rank test may be exact, as scipy's is by itself."""


def rank_tests(first: NDArray[np.float64], second: NDArray[np.float64]) -> RankTests:
    """Compare two models problem by problem; float64 [problems] each, in one order.

    The paper's "Wilcoxon-Mann-Whitney" is the first, with ties and continuity corrected (asymptotic: passes are all
    ties). The signed-rank test leaves out problems without difference. Each is NaN where it is undefined: all values
    equal, no pair that differs.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} problems cannot be paired with {len(second)}")
    mann_whitney = wilcoxon = math.nan
    if len(first) and np.ptp(np.concatenate([first, second])) > 0:
        mann_whitney = _mann_whitney(first, second)
    differences = np.round(second - first, 12)  # else rounding would tell equal ones apart, and rank them
    if np.any(differences != 0):
        wilcoxon = _signed_ranks(differences)
    return RankTests(mann_whitney, wilcoxon)


def _mann_whitney(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The p-value of Mann and Whitney's U, by the normal distribution; float64 [n] each, n at least 1."""
    from scipy.special import ndtr

    n = len(first)
    ranks, ties = _ranks(np.concatenate([first, second]))
    u = ranks[:n].sum() - n * (n + 1) / 2
    spread = math.sqrt(n * n / 12 * (2 * n + 1 - ties / (2 * n * (2 * n - 1))))
    return min(1.0, float(2 * ndtr((0.5 - abs(u - n * n / 2)) / spread)))


def _signed_ranks(differences: NDArray[np.float64]) -> float:
    """The p-value of Wilcoxon's signed ranks, by the normal distribution where problems are many."""
    if len(differences) <= _EXACT_UP_TO:
        from scipy import stats  # half a second, which reports of many problems are spared

        return float(stats.wilcoxon(differences, zero_method="wilcox", method="auto").pvalue)
    from scipy.special import ndtr

    differing = differences[differences != 0]
    n = len(differing)
    ranks, ties = _ranks(np.abs(differing))
    spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24 - ties / 48)
    return float(2 * ndtr(-abs(ranks[differing > 0].sum() - n * (n + 1) / 4) / spread))


def _ranks(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """(ranks from 1, equal values sharing the mean of theirs; the sum of t^3 - t over values that t have)."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return ranks[places], float((counts.astype(np.float64) ** 3 - counts).sum())


@dataclass(frozen=True)
class Flips:
    """Documents that only the unperturbed run solves (`broken`), and that only the perturbed run solves (`mended`)."""

    broken: list[int]
    mended: list[int]


def flips(unperturbed: Mapping[int, float], perturbed: Mapping[int, float]) -> Flips:
    """The documents, of those in both, that a perturbation flips, by their pass rates."""
    both = sorted(unperturbed.keys() & perturbed.keys())
    before, after = ({n: rates[n] >= SOLVED for n in both} for rates in (unperturbed, perturbed))
    return Flips([n for n in both if before[n] and not after[n]], [n for n in both if after[n] and not before[n]])


def sampled(folder: Path) -> dict[int, list[SampleRow]]:
    """Read a run's rows by document, in the order of samples. Raises SamplesError where a completion was not run."""
    lines = read_lines(folder / SAMPLES, ("doc_id", "sample", "passed"))
    found: dict[int, list[SampleRow]] = {}
    for row in all_run(SampleRow.of_documents(lines, folder / SAMPLES), folder):
        found.setdefault(row.doc_id, []).append(row)
    return found


def pass_rates(samples: Mapping[int, Sequence[SampleRow]]) -> dict[int, float]:
    """The share of each document's completions that passed."""
    return {n: float(passes(rows).mean()) for n, rows in samples.items()}
