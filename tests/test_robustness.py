"""Robustness measures, against values computed by hand and against the first paper's own figures."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from qharness import RunResult, RunSpec
from qharness.stats.robustness import flips, percentage_drop, rank_tests
from qharness.study.study_robustness import Robustness

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("before", "after", "drop"),
    [(60, 42, 30.0), (60, 39, 35.0), (60, 55, 8.33), (177, 153, 13.56), (352, 355, -0.85), (313, 288, 7.99)],
)
def test_drops_of_table_vii(before: int, after: int, drop: float) -> None:
    """Wei et al. 2023, full precision on MBPP's 974 problems: InCoder 1.3B, CodeGen 350M, 6B and 2B."""
    assert percentage_drop(before / 974, after / 974) == pytest.approx(drop, abs=0.005)


def test_nothing_cannot_drop() -> None:
    assert math.isnan(percentage_drop(0.0, 0.0)) and math.isnan(percentage_drop(0.0, 0.5))
    assert percentage_drop(0.5, 0.0) == 100


def test_rank_tests_by_hand() -> None:
    """Signed ranks of 1..6, one negative (the 2): W = 2, and 3 of 64 sign patterns give as little, twice for two sides."""
    first = np.zeros(6)
    second = np.array([1.0, -2.0, 3.0, 4.0, 5.0, 6.0])
    patterns = itertools.product((0, 1), repeat=6)
    less = sum(sum(rank for rank, sign in zip(range(1, 7), signs, strict=True) if sign) <= 2 for signs in patterns)
    assert rank_tests(first, second).wilcoxon == pytest.approx(2 * less / 64)
    assert rank_tests(first, second) == pytest.approx(rank_tests(first, second))


def test_mann_whitney_of_passes() -> None:
    """U and its tie-corrected variance, from the textbook; all ties are of the two values 0 and 1."""
    first, second = np.array([1.0] * 30 + [0.0] * 20), np.array([1.0] * 20 + [0.0] * 30)
    n = 50
    u, mean = 30 * 30 + (30 * 20 + 20 * 30) / 2, n * n / 2
    spread = math.sqrt(n * n / 12 * ((2 * n + 1) - 2 * (50**3 - 50) / (2 * n * (2 * n - 1))))
    z = (abs(u - mean) - 0.5) / spread
    assert rank_tests(first, second).mann_whitney == pytest.approx(math.erfc(z / math.sqrt(2)), rel=1e-9)


@pytest.mark.parametrize("size", [1, 7, 50, 51, 164])
@pytest.mark.parametrize("levels", [1, 2, 20, 10**6])
def test_rank_tests_are_scipys(size: int, levels: int) -> None:
    rng = np.random.default_rng(size)
    for bias in (0, 0, levels // 10, levels):
        first, second = (rng.integers(0, levels + 1, size) / levels for _ in range(2))
        second[: size // 3] = first[: size // 3]
        second = np.minimum(second + bias / levels, 1.0)
        found = rank_tests(first, second)
        if np.ptp([*first, *second]):
            assert found.mann_whitney == pytest.approx(
                scipy.stats.mannwhitneyu(first, second, method="asymptotic").pvalue
            )
        if np.any(differences := np.round(second - first, 12)):
            assert found.wilcoxon == pytest.approx(scipy.stats.wilcoxon(differences).pvalue)
        else:
            assert math.isnan(found.wilcoxon)


def test_rank_tests_that_are_undefined() -> None:
    same = rank_tests(np.ones(5), np.ones(5))
    assert math.isnan(same.mann_whitney) and math.isnan(same.wilcoxon)
    alike = rank_tests(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    assert alike.mann_whitney == pytest.approx(1.0) and math.isnan(alike.wilcoxon)
    none = rank_tests(np.array([]), np.array([]))
    assert math.isnan(none.mann_whitney) and math.isnan(none.wilcoxon)
    with pytest.raises(ValueError, match="cannot be paired"):
        rank_tests(np.ones(2), np.ones(3))


def test_rank_tests_hold_their_level() -> None:
    """Two models of one pass rate: p below 0.05 in about one case of twenty, or fewer, for passes are discrete."""
    rng = np.random.default_rng(0)
    pairs = [(rng.random(60) < 0.5, rng.random(60) < 0.5) for _ in range(400)]
    found = [rank_tests(a.astype(float), b.astype(float)) for a, b in pairs]
    assert np.mean([tests.mann_whitney < 0.05 for tests in found]) < 0.08
    assert np.mean([tests.wilcoxon < 0.05 for tests in found]) < 0.08


def test_flips() -> None:
    found = flips({0: 1.0, 1: 1.0, 2: 0.0, 3: 0.2, 9: 1.0}, {0: 1.0, 1: 0.4, 2: 0.0, 3: 0.6, 8: 0.0})
    assert (found.broken, found.mended) == ([1], [3])


def made(folder: Path, quant: str, perturbation: str, passed: list[bool]) -> tuple[RunSpec, RunResult]:
    """A finished run of tiny-python's first problems with these passes."""
    task = f"tiny-python{'@' if perturbation else ''}{perturbation}"
    spec = RunSpec(task, quant=quant, samples=1)
    place = folder / f"{quant}-{perturbation}"
    place.mkdir(parents=True)
    rows = [
        {
            "task": task,
            "doc_id": n,
            "sample": 0,
            "task_id": f"t/{n}",
            "passed": p,
            "status": "passed" if p else "failed",
        }
        | {"completion": f"{quant}{perturbation}{n}"}
        for n, p in enumerate(passed)
    ]
    (place / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    document = {"spec": {"task": task}, "metrics": {task: {"pass@1": float(np.mean(passed))}}}
    return spec, RunResult(place, document)


def test_a_study_s_rows_averages_and_flips(tmp_path: Path) -> None:
    yes, no = True, False
    runs = [
        made(tmp_path, "none", "", [yes, yes, yes, no]),
        made(tmp_path, "none", "char", [yes, yes, no, yes]),
        made(tmp_path, "none", "char:0.3", [yes, no, no, no]),
        made(tmp_path, "rtn:3", "", [yes, no, yes, no]),
        made(tmp_path, "rtn:3", "char", [no, no, no, no]),
        made(tmp_path, "rtn:2", "", [no, no, no, no]),
        made(tmp_path, "rtn:2", "char", [no, no, no, no]),
        made(tmp_path, "rtn:4", "char", [yes, yes, yes, yes]),  # has no counterpart
    ]
    found = Robustness(runs)
    rows = {(row.quant, row.perturbation): row for row in found.rows}
    assert set(rows) == {("none", "char"), ("none", "char:0.3"), ("rtn:3", "char"), ("rtn:2", "char")}
    assert rows["none", "char"].drop_percent == 0 and rows["none", "char"].against_full_precision is None
    assert (rows["none", "char"].broken, rows["none", "char"].mended) == ([2], [3])
    assert rows["none", "char:0.3"].drop_percent == pytest.approx(200 / 3)
    assert rows["rtn:3", "char"].drop_percent == 100
    assert math.isnan(rows["rtn:2", "char"].drop_percent)
    against = rows["rtn:3", "char"].against_full_precision
    full, quantized = np.array([1.0, 1, 0, 1]), np.zeros(4)
    assert against is not None and against["pass@1"].wilcoxon == rank_tests(full, quantized).wilcoxon
    assert against["drop"].wilcoxon == rank_tests(np.array([0.0, 0, 1, -1]), np.array([1.0, 0, 1, 0])).wilcoxon
    averages = {each.quant: each for each in found.averages()}
    assert averages["none"].drop_percent == pytest.approx(100 / 3) and averages["none"].of == 2
    assert math.isnan(averages["rtn:2"].drop_percent) and averages["rtn:2"].defined == 0
    flipped = found.flipped()
    assert len(flipped) == 2 + 2 + 2
    (first,) = [f for f in flipped if f.quant == "none" and f.perturbation == "char" and f.flip == "broken"]
    assert (first.task_id, first.perturbed.completion) == ("t/2", "nonechar2")
    assert first.perturbed.prompt.lower() == first.unperturbed.prompt.lower()
    assert first.perturbed.prompt != first.unperturbed.prompt


@pytest.mark.long
def test_a_study_with_perturbations_from_the_command_line(cli: Cli, random_llama: Path, tmp_path: Path) -> None:
    file = tmp_path / "shaken.toml"
    file.write_text(
        f'models = ["{random_llama}"]\nquants = ["none", "rtn:2"]\ntasks = ["tiny-python"]\n'
        'perturbations = ["none", "char"]\nlimit = 2\nsamples = 1\ntemperature = 0.0\nmax_new_tokens = 5'
    )
    done = cli("study", file, "--output", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    assert "average drop," in done.stdout and "n/a" in done.stdout
    document = json.loads((tmp_path / "runs/robustness-shaken.json").read_text())
    assert [(row["quant"][:3], row["drop_percent"]) for row in document["rows"]] == [("non", None), ("rtn", None)]
    again = cli("study", file, "--output", tmp_path / "runs", "--json")
    assert again.returncode == 0 and len(json.loads(again.stdout)) == 4
