from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from benchmarks.false_positives import Size, false_positives
from qharness import pass_at_k
from qharness.stats.adjustment import Compared, ComparedBy, adjust, benjamini_hochberg, symbol
from qharness.stats.intervals import LEVEL, RESAMPLES, mean_interval, pass_at_k_interval
from qharness.stats.paired import clustered, mcnemar, sign_flip_p_values, smallest_detectable_difference
from qharness.stats.robustness import rank_tests
from tests.conftest import REPOSITORY

NAN = math.nan


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_is_the_binomial_tail(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    found = mcnemar(first, second)
    n = found.b + found.c
    tail = sum(math.comb(n, i) for i in range(min(found.b, found.c) + 1)) / 2**n
    assert found.p_value == pytest.approx(min(1.0, 2 * tail))
    assert found.b == sum(a and not b for a, b in pairs)


def test_mcnemar_golden() -> None:
    """b=10, c=2: p = 2 (1 + 12 + 66) / 2^12 (by hand)."""
    first = np.array([True] * 10 + [False] * 2 + [True] * 5)
    second = np.array([False] * 10 + [True] * 2 + [True] * 5)
    found = mcnemar(first, second)
    assert found.p_value == pytest.approx(2 * 79 / 4096)
    assert found.odds_ratio == 5.0


def test_mcnemar_without_discordant_pairs() -> None:
    found = mcnemar(np.array([True, False]), np.array([True, False]))
    assert found.p_value == 1.0
    assert math.isnan(found.odds_ratio)
    assert mcnemar(np.array([True]), np.array([False])).odds_ratio == math.inf


@given(*[st.integers(0, 400)] * 4)
def test_mcnemar_agrees_with_statsmodels(both: int, b: int, c: int, neither: int) -> None:
    first, second = (
        np.repeat(kinds, (both, b, c, neither)) for kinds in ([True, True, False, False], [True, False] * 2)
    )
    found = mcnemar(first, second)
    assert (found.b, found.c) == (b, c)
    reference = statsmodels_mcnemar([[both, b], [c, neither]], exact=True)
    assert found.p_value == pytest.approx(reference.pvalue, abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.lists(st.integers(0, 59), max_size=5))
def test_benjamini_hochberg_agrees_with_statsmodels(p_values: list[float], holes: list[int]) -> None:
    reference = multipletests(p_values, method="fdr_bh")[1]
    with_nan = list(p_values)
    for hole in holes:
        with_nan.insert(hole, NAN)
    found = benjamini_hochberg(with_nan)
    assert [math.isnan(p) for p in found] == [math.isnan(p) for p in with_nan]
    assert [p for p in found if not math.isnan(p)] == pytest.approx(reference, abs=1e-12)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 20), min_size=2, max_size=700), st.integers(0, 9))
def test_intervals_are_those_of_scipys_bootstrap(passed: list[int], seed: int) -> None:
    values = np.array(passed) / 20
    if np.ptp(values) == 0:
        return
    found = mean_interval(values, np.random.default_rng(seed))
    expected = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=1 - LEVEL,
        method="percentile",
        batch=RESAMPLES,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_benjamini_hochberg_by_hand() -> None:
    """0.01, 0.02, 0.04 of three: 0.01 x 3 / 1, 0.02 x 3 / 2 and 0.04 x 3 / 3, none above what follows."""
    assert benjamini_hochberg([0.04, 0.01, NAN, 0.02]) == pytest.approx([0.04, 0.03, NAN, 0.03], nan_ok=True)
    assert benjamini_hochberg([]) == []
    assert math.isnan(benjamini_hochberg([NAN])[0])


def test_families_are_those_of_the_paper() -> None:
    against_full = [Compared(ComparedBy.PRECISION, "7b", "python", quant) for quant in ("aqlm:2", "aqlm:4")]
    elsewhere = Compared(ComparedBy.PRECISION, "7b", "java", "aqlm:2")
    calibrated = [Compared(ComparedBy.CALIBRATION, "7b", "python", quant) for quant in ("aqlm:2", "aqlm:2", "aqlm:4")]
    tuned = Compared(ComparedBy.FINETUNE, "7b", "python", "aqlm:2")
    every = [*against_full, elsewhere, *calibrated, tuned]
    found = adjust(
        [(each.family, p) for each, p in zip(every, (0.01, 0.02, 0.03, 0.01, 0.04, 0.05, 0.06), strict=True)]
    )
    assert found == pytest.approx([0.02, 0.02, 0.03, 0.02, 0.04, 0.05, 0.06])


def test_symbols() -> None:
    marks = {
        0.1: "",
        0.0999: "●",
        0.05: "●",
        0.0499: "*",
        0.01: "*",
        0.001: "**",
        0.000999: "***",
        0.0: "***",
        NAN: "n/a",
    }
    assert {p: symbol(p) for p in marks} == marks


def test_clustered_is_exact_for_few_problems() -> None:
    """Four problems all down: of 16 sign patterns, two are as extreme."""
    found = clustered(np.array([-0.5, -0.25, -1.0, -0.125]), np.random.default_rng(0))
    assert found.p_value == pytest.approx(2 / 16)
    assert found.ci95[0] < -0.46875 < found.ci95[1]


def test_clustered_holds_its_level() -> None:
    """Under a mean of zero, p below 0.05 comes up about one time in twenty."""
    rng = np.random.default_rng(1)
    low = sum(clustered(rng.normal(size=12), rng).p_value < 0.05 for _ in range(200))
    assert 2 <= low <= 21


def test_signs_flip_at_random_as_they_do_in_full() -> None:
    """Fourteen problems are too many to go through here, but not by other means."""
    differences = np.random.default_rng(3).integers(-5, 8, 14) / 20
    signs = 1 - 2 * (np.arange(2**14)[:, None] >> np.arange(14) & 1)
    exact = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-9)
    assert clustered(differences, np.random.default_rng(0)).p_value == pytest.approx(exact, abs=4 * 0.5 / 100)
    rows = np.stack([differences, -differences, np.zeros(14)])
    assert sign_flip_p_values(rows, np.random.default_rng(0))[2] == 1.0
    assert len(set(sign_flip_p_values(rows, np.random.default_rng(0))[:2])) == 1


@pytest.mark.parametrize("n", [2, 30])
def test_no_difference_anywhere(n: int) -> None:
    found = clustered(np.zeros(n), np.random.default_rng(0))
    assert found.p_value == 1.0 and all(math.isnan(bound) for bound in found.ci95)
    assert math.isnan(smallest_detectable_difference(np.zeros(n)))


def test_sums_that_are_equal_but_for_rounding_are_ties() -> None:
    """0.3 - 0.3 - 0.1 + 0.3 comes out otherwise in another order; tenths are exact."""
    tenths = np.array([3, -3, -1, 3, 3, -3])
    signs = 1 - 2 * (np.arange(2**6)[:, None] >> np.arange(6) & 1)
    exact = np.mean(np.abs(signs @ tenths) >= abs(tenths.sum()))
    assert clustered(tenths / 10, np.random.default_rng(0)).p_value == exact


def test_one_difference_everywhere() -> None:
    """Of the sign patterns of five problems only two are as extreme; nothing is known of the spread."""
    differences = np.array([0.5, 0.4, 0.3, 0.2, 0.1]) - np.array([0.4, 0.3, 0.2, 0.1, 0.0])
    found = clustered(differences, np.random.default_rng(0))
    assert found.p_value == 2 / 32
    assert math.isnan(smallest_detectable_difference(differences))
    assert all(math.isnan(bound) for bound in found.ci95)


def test_equal_differences_have_equal_ranks() -> None:
    """0.3 - 0.2 and 0.2 - 0.1 differ in floating point. Three up and two down by as much: as even as five can be."""
    found = rank_tests(np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.array([0.2, 0.3, 0.2, 0.5, 0.4]))
    assert found.wilcoxon == 1.0


def test_pass_at_k_interval() -> None:
    rng = np.random.default_rng(0)
    problems = [np.arange(10) < c for c in rng.integers(0, 11, 50)]
    for k in (1, 5, 10):
        found = pass_at_k_interval(problems, k, np.random.default_rng(1))
        estimates = np.array([pass_at_k(10, int(each.sum()), k) for each in problems])
        assert found.value == pytest.approx(estimates.mean())
        half = 1.96 * estimates.std() / math.sqrt(50)
        assert found.low == pytest.approx(found.value - half, abs=0.02)
        assert found.high == pytest.approx(found.value + half, abs=0.02)
    alone = pass_at_k_interval(problems[:1], 1, rng)
    assert alone.value == problems[0].mean() and math.isnan(alone.low) and math.isnan(alone.high)
    for undefined in (pass_at_k_interval([*problems, np.array([True])], 5, rng), pass_at_k_interval([], 1, rng)):
        assert all(math.isnan(figure) for figure in (undefined.value, undefined.low, undefined.high))


def test_pass_at_k_interval_covers() -> None:
    """Of problems whose pass rates are even over 0 to 1, pass@1 is 0.5: 95 intervals in 100 should say so."""
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(100):
        found = pass_at_k_interval(list(rng.random((60, 5)) < rng.random((60, 1))), 1, rng)
        hits += found.low <= 0.5 <= found.high
    assert hits >= 87


def test_false_positives() -> None:
    """Pooled pairs hold their level where both models are alike on every problem, and only there."""
    rng = np.random.default_rng(5)
    size = Size(42, 20)
    alike = false_positives(size, 0.0, 300, rng)
    assert alike.pooled < 0.09 and alike.clustered < 0.09
    shifted = false_positives(size, 0.3, 300, rng)
    assert shifted.pooled > 0.2 and shifted.clustered < 0.09


def test_too_few_problems_are_nan() -> None:
    found = clustered(np.array([0.5]), np.random.default_rng(0))
    assert math.isnan(found.p_value) and math.isnan(found.ci95[0])
    assert math.isnan(smallest_detectable_difference(np.array([0.5])))
    assert math.isnan(smallest_detectable_difference(np.array([0.0, 0.0])))


def test_smallest_detectable_difference_is_detected_four_times_in_five() -> None:
    rng = np.random.default_rng(2)
    spread, n = 0.3, 40
    size = smallest_detectable_difference(np.array([-spread, spread] * (n // 2)))
    hits = 0
    for _ in range(400):
        sample = rng.normal(size, spread, n)
        hits += abs(sample.mean()) > 1.96 * sample.std(ddof=1) / math.sqrt(n)
    assert 0.72 < hits / 400 < 0.9


@pytest.mark.parametrize("shared", ["common", "independent"])
def test_intervals_hold_the_truth_whether_or_not_random_numbers_are_shared(
    shared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    from interval_coverage import SHARED, Models, coverage, detectable, draw_differences

    rng = np.random.default_rng(1)
    models = Models(0.1, 0.2)
    differences = draw_differences(models, Size(42, 20), SHARED[shared], 200, rng)
    held, _ = coverage(differences, models.difference(rng), rng)
    assert held > 0.95 - 3 * math.sqrt(0.05 * 0.95 / 200)
    assert detectable(differences) == pytest.approx(2.8 * differences.mean(axis=1).std(), rel=0.15)
