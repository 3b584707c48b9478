from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qharness import pass_at_k
from qharness.filters import pass_at_k as metric


def human_eval_formula(n: int, c: int, k: int) -> float:
    """The numerically stable product of Chen et al. 2021, figure 3."""
    if n - c < k:
        return 1.0
    return 1.0 - float(np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_equals_human_evals_formula(table: tuple[int, int, int]) -> None:
    assert pass_at_k(*table) == pytest.approx(human_eval_formula(*table), abs=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 1, 2), (5, 2, 3), (6, 6, 2), (6, 0, 2)])
def test_equals_counting_all_draws(n: int, c: int, k: int) -> None:
    draws = list(itertools.combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_undefined_is_nan() -> None:
    assert math.isnan(pass_at_k(4, 4, 5))
    with pytest.raises(ValueError, match="pass@k needs"):
        pass_at_k(3, 4, 1)


def test_lm_eval_metric() -> None:
    verdicts = [{"passed": p} for p in (True, False, False, False)]
    found = metric(references=["unused"], predictions=[verdicts], k=[1, 5])
    assert found["pass@1"] == 0.25
    assert math.isnan(found["pass@5"])
