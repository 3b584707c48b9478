"""The verdict's arithmetic: levels that are kept exactly, the exact binomial as a special case, Holm, what more would tell."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qharness.results import Comparison, VerdictClass
from qharness.results.paired_results import PairedCounts
from qharness.specs import MaxLoss
from qharness.stats.adjustment import holm_levels
from qharness.stats.candidates import Candidate, judge
from qharness.stats.dirichlet_mean import WeightedValues, share_above
from qharness.stats.non_inferiority import LossEvidence
from tests.conftest import REPOSITORY


def greedy(both: int, a_only: int, b_only: int, neither: int, margin: str = "2") -> LossEvidence:
    """Problems of one sample."""
    kinds = [PairedCounts(1, 0, 0, 0, both), PairedCounts(0, 1, 0, 0, a_only)]
    kinds += [PairedCounts(0, 0, 1, 0, b_only), PairedCounts(0, 0, 0, 1, neither)]
    return LossEvidence.of([kind for kind in kinds if kind.problems], MaxLoss.of(margin))


# --------------------------------------------------------------------------------------------------- the weighted mean


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.integers(1, 30)), min_size=1, max_size=8, unique_by=lambda each: each[0]),
    st.floats(-1, 1),
)
@settings(max_examples=40)
def test_the_share_above_is_that_of_drawn_weights(kinds: list[tuple[float, int]], threshold: float) -> None:
    values, counts = np.array(kinds, dtype=np.float64).T
    drawn = np.random.default_rng(0).dirichlet(counts, size=20_000) @ values > threshold
    if np.any(values > threshold) and np.any(values < threshold):
        assert share_above(WeightedValues(values, counts), threshold) == pytest.approx(drawn.mean(), abs=0.015)


@given(st.integers(1, 200), st.integers(0, 200), st.floats(0.01, 0.99))
@settings(max_examples=60)
def test_of_two_values_it_is_the_beta_distribution(zeros: int, ones: int, threshold: float) -> None:
    share = share_above(WeightedValues(np.array([0.0, 1.0]), np.array([zeros, ones + 1.0])), threshold)
    assert share == pytest.approx(stats.beta.sf(threshold, ones + 1, zeros), abs=1e-8)


# ------------------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(("lost", "n"), [(0, 164), (3, 164), (0, 42), (7, 20), (1, 1)])
def test_where_problems_are_only_lost_the_bound_is_clopper_and_pearsons(lost: int, n: int) -> None:
    bounds = greedy(n - lost, lost, 0, 0).bounds()
    exact = 100 * stats.beta.ppf(0.95, lost + 1, n - lost) if lost < n else 100.0
    assert bounds.upper95 == pytest.approx(exact, abs=1e-5) and bounds.estimate == pytest.approx(100 * lost / n)


def test_without_any_difference_the_bound_is_that_of_no_event() -> None:
    """With 149 problems a loss of 2 points is excluded, with 148 it is not."""
    assert greedy(149, 0, 0, 0).p_holds() <= 0.05 < greedy(148, 0, 0, 0).p_holds()
    assert greedy(149, 0, 0, 0).bounds().upper95 == pytest.approx(100 * (1 - 0.05 ** (1 / 149)), abs=1e-5)


@pytest.mark.parametrize("margin", ["2", "10%"])
@pytest.mark.parametrize("counts", [(60, 9, 4, 20), (3, 1, 0, 2), (100, 0, 30, 10), (20, 60, 0, 4)])
def test_a_bound_meets_the_margin_where_its_p_value_meets_the_level(
    counts: tuple[int, int, int, int], margin: str
) -> None:
    found = greedy(*counts, margin)
    bounds = found.bounds(0.03, 0.02)
    assert found.p_holds(bounds.upper95 / 100) == pytest.approx(0.03, abs=1e-5)
    assert found.p_loses(bounds.lower95 / 100) == pytest.approx(0.02, abs=1e-5)
    assert bounds.lower95 < bounds.estimate < bounds.upper95


def test_swapping_the_runs_swaps_the_bounds() -> None:
    there, back = greedy(60, 9, 4, 20).bounds(), greedy(60, 4, 9, 20).bounds()
    assert (there.lower95, there.upper95) == pytest.approx((-back.upper95, -back.lower95), abs=1e-5)


@pytest.mark.parametrize("n", [3, 6])
def test_the_level_is_kept_exactly(n: int) -> None:
    """Of all distributions of a loss in {-1, -0.5, 0, 0.5, 1} on a grid whose mean is the margin, none errs more often.

    The probability of *holds* is summed over every outcome of n problems.
    """
    values = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    outcomes = [each for each in itertools.product(range(n + 1), repeat=5) if sum(each) == n]
    for margin in (0.2, 0.5, 0.7):
        holds = [_p_holds(values, each, margin) <= 0.05 for each in outcomes]
        for weights in _weights(values, margin):
            chances = stats.multinomial.pmf(np.array(outcomes), n, weights)
            assert float(chances @ np.array(holds)) <= 0.05 + 1e-9, (margin, weights)


def _p_holds(values: np.ndarray[Any, Any], counts: tuple[int, ...], margin: float) -> float:
    seen = np.array(counts) > 0
    return share_above(WeightedValues(values[seen], np.array(counts, dtype=float)[seen]).with_one(1.0), margin)


def _weights(values: np.ndarray[Any, Any], mean: float) -> list[np.ndarray[Any, Any]]:
    """Probabilities of the values, in tenths but for two that make the mean what it should be."""
    found = []
    for tenths in itertools.product(range(0, 11, 2), repeat=3):
        rest = 1 - sum(tenths) / 10
        inner = float(np.dot(tenths, values[1:4])) / 10
        top = (mean - inner + rest) / 2  # top - bottom = mean - inner; top + bottom = rest
        if 0 <= top <= rest:
            found.append(np.array([rest - top, *(np.array(tenths) / 10), top]))
    assert len(found) > 5
    return found


def test_a_relative_margin_is_one_of_full_precisions_passes() -> None:
    found = greedy(380, 8, 0, 612, "5%")
    assert found.estimate == pytest.approx(8 / 388) and found.bounds().estimate == pytest.approx(100 * 8 / 388)
    assert found.p_holds() <= 0.05
    assert replace(found, margin=MaxLoss(2, relative=True)).p_holds() > 0.05


# ------------------------------------------------------------------------------------------------ what more would tell


def test_more_problems_tell_four_times_in_five() -> None:
    """Of experiments with as many problems as are asked for, drawn from those seen, 0.8 hold."""
    found = greedy(60, 3, 3, 34)
    more = found.more_problems()
    assert more is not None and 200 < more < 5000
    rng, n = np.random.default_rng(0), 100 + more
    drawn = rng.multinomial(n, np.array([0.6, 0.03, 0.03, 0.34]), size=400)
    told = np.mean([greedy(*map(int, counts)).p_holds() <= 0.05 for counts in drawn])
    assert 0.72 < told < 0.88


def test_more_samples_tell_where_problems_agree() -> None:
    """Losses that are all noise of sampling shrink with more samples; whole problems that are lost do not."""
    noisy = LossEvidence.of([PairedCounts(2, 1, 1, 0, 300), PairedCounts(0, 0, 0, 4, 100)], MaxLoss())
    noisy = replace(noisy, quantized=noisy.quantized - np.array([0.0125, 0.0]))
    assert noisy.more_samples() is not None
    whole = LossEvidence.of([PairedCounts(4, 0, 0, 0, 300), PairedCounts(0, 4, 0, 0, 5)], MaxLoss())
    assert whole.more_samples() is None and whole.more_problems() is not None
    assert greedy(60, 3, 3, 34).more_samples() is None  # one sample says nothing of its own variance


def test_more_of_a_loss_at_the_margin_tells_nothing() -> None:
    assert greedy(600, 20, 0, 380).more_problems() is None


# ------------------------------------------------------------------------------------------------- several candidates


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_rejects_what_its_levels_say(p_values: list[float]) -> None:
    order = np.argsort(p_values, kind="stable")
    rejected: set[int] = set()
    for rank, place in enumerate(order):
        if p_values[place] > 0.05 / (len(p_values) - rank):
            break
        rejected.add(int(place))
    levels = holm_levels(p_values, 0.05)
    assert {n for n, p in enumerate(p_values) if p <= levels[n]} == rejected


def compared(*counts: PairedCounts) -> Comparison:
    return Comparison(counts=counts)


def test_no_more_than_one_study_in_twenty_has_a_wrong_holds() -> None:
    """Four candidates, each of which fails on a little more than the margin's share of problems."""
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(400):
        p_values = [greedy(400 - lost, lost, 0, 0, "1").p_holds() for lost in map(int, rng.binomial(400, 0.0101, 4))]
        wrong += any(p <= level for p, level in zip(p_values, holm_levels(p_values, 0.05), strict=True))
    assert wrong / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_a_candidate_loses_on_one_task_at_a_level_for_all() -> None:
    """A p-value of 0.03 shows a loss on one task alone, and none on one of two."""
    lost = [PairedCounts(1, 0, 0, 0, 91), PairedCounts(0, 1, 0, 0, 8), PairedCounts(0, 0, 0, 1, 1)]
    assert 0.025 < LossEvidence.of(lost, MaxLoss()).p_loses() < 0.05
    alone, with_another = (
        judge([Candidate("a", [("t", compared(*lost)), *others])], MaxLoss())[0]
        for others in ([], [("u", compared(PairedCounts(1, 0, 0, 0, 300)))])
    )
    assert alone.class_ is VerdictClass.LOSES and with_another.class_ is VerdictClass.CANNOT_TELL


def test_the_simulation_of_the_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import verdict_errors as errors

    rng, size = np.random.default_rng(0), errors.Size(161, 20)
    at = errors.shares(size, "broken", 0.02, MaxLoss(), 300, rng)
    assert at.holds <= 0.05 and at.loses <= 0.08 and at.student > 0.06
    assert errors.shares(size, "spread", 0.0, MaxLoss(), 100, rng).holds > 0.3
