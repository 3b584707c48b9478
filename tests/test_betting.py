"""The bets that let a search stop as soon as it knows: their wealth is a fair game, by enumeration."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qharness.evaluate.run.drawing_order import drawing_order
from qharness.results import VerdictClass
from qharness.stats.betting import p_value_path, wealth_path
from qharness.stats.sequential_verdict import SequentialRule


def wealth(values: tuple[int, ...], size: int, mean: float) -> float:
    return float(wealth_path(np.array(values, dtype=np.float64), size, mean)[-1])


POPULATIONS = [
    (1, 0, -1, 0),
    (1, 1, 0, -1, 0),
    (0, 0, 0, 1),
    (1, 1, 1),
    (-1, -1, 0, 1, 1),
    (0, 0, 0, 0, 0),
    (1, 0, 0, 0, 0, -1),
]


@pytest.mark.parametrize("population", POPULATIONS)
def test_the_expected_wealth_is_1_at_the_mean_and_less_below(population: tuple[int, ...]) -> None:
    """Summed over every order of drawing a whole population, after each number of draws."""
    n, mean = len(population), sum(population) / len(population)
    for draws in range(1, n + 1):
        orders = Counter(order[:draws] for order in itertools.permutations(population))
        total = sum(orders.values())
        for claimed, most in ((mean, 1.0), (mean - 0.1, 1.0), (mean - 0.5, 1.0)):
            expected = sum(count * wealth(order, n, claimed) for order, count in orders.items()) / total
            assert expected <= most + 1e-12
            if claimed == mean and draws < n:  # the last value is known, so nothing can be won or lost by it
                assert expected == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize("level", [0.5, 0.3, 0.2])
def test_a_true_mean_is_excluded_at_any_time_no_more_often_than_the_level(
    population: tuple[int, ...], level: float
) -> None:
    """Ville's inequality, over every order."""
    n, mean = len(population), sum(population) / len(population)
    orders = np.array(list(itertools.permutations(population)), dtype=np.float64)
    excluded = np.mean([p_value_path(order, n, mean)[-1] <= level for order in orders])
    assert excluded <= level


@given(st.lists(st.sampled_from([-1, 0, 0, 0, 1]), min_size=1, max_size=60), st.floats(-0.9, 0.9))
@settings(max_examples=60)
def test_wealth_is_never_negative_and_certainty_is_right(values: list[int], mean: float) -> None:
    path = wealth_path(np.array(values, dtype=np.float64), len(values), mean)
    assert (path >= 0).all()
    assert not (math.isinf(path[-1]) and sum(values) / len(values) >= mean + 1e-9)


@given(st.lists(st.sampled_from([-1, 0, 0, 0, 1]), min_size=2, max_size=80))
@settings(max_examples=30)
def test_all_pairs_are_a_verdict(values: list[int]) -> None:
    losses = np.array(values, dtype=np.float64)
    rule = SequentialRule(len(losses), 0.1, 1e-9, 1e-9)
    assert rule.judge(losses).verdict is (VerdictClass.HOLDS if losses.mean() <= 0.1 else VerdictClass.LOSES)
    assert rule.interval(losses) == (pytest.approx(losses.mean()),) * 2


def test_the_interval_ends_where_the_verdict_does() -> None:
    losses = np.random.default_rng(0).choice([0.0, 1.0], p=[0.7, 0.3], size=2000)
    rule = SequentialRule(2000, 0.1, 0.05, 0.05)
    stop = rule.judge(losses)
    assert stop.verdict is VerdictClass.LOSES and stop.pairs < 200
    before, after = rule.interval(losses[: stop.pairs - 1]), rule.interval(losses[: stop.pairs])
    assert before[0] < 0.1 <= after[0] + 1e-3 and after[1] > 0.3
    assert rule.judge(losses[: stop.pairs - 1]).verdict is VerdictClass.CANNOT_TELL
    assert rule.judge(losses[:0]).pairs == 0 and rule.interval(losses[:0]) == (-1, 1)


def test_an_order_is_a_permutation_of_its_seed() -> None:
    order = drawing_order(7, 3, 5)
    assert sorted(order) == list(range(21)) and (order == drawing_order(7, 3, 5)).all()
    assert (order != drawing_order(7, 3, 6)).any()
