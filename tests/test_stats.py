from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qharness import SamplesError, compare
from qharness.stats.paired import clustered, mcnemar, smallest_detectable_difference


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


def write_run(folder: Path, passed: dict[tuple[int, int], bool], task: str = "t") -> Path:
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    rows = [
        {"task": task, "doc_id": d, "sample": s, "completion": "", "status": "passed" if p else "failed", "passed": p}
        for (d, s), p in passed.items()
    ]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_compare_pairs_by_document_and_sample(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {(0, 0): True, (0, 1): True, (1, 0): False, (1, 1): True, (2, 0): True})
    b = write_run(tmp_path / "b", {(1, 1): False, (1, 0): False, (0, 1): False, (0, 0): True})
    document = compare(a, b).document
    assert (document["n_problems"], document["n_pairs"]) == (2, 4)
    assert document["paper"]["b"] == 2 and document["paper"]["c"] == 0
    assert document["pass@1"]["a"] == 0.75 and document["pass@1"]["b"] == 0.25
    assert document["pass@1"]["difference"] == -0.5
    assert compare(a, b).document == document


def test_compare_refuses_what_has_nothing_in_common(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {(0, 0): True})
    b = write_run(tmp_path / "b", {(0, 0): True}, task="other")
    with pytest.raises(SamplesError, match="no completion in common"):
        compare(a, b)
    with pytest.raises(SamplesError, match="no finished run"):
        compare(a, tmp_path / "nowhere")
