"""`compare`'s document, and what stands behind a pass rate: levels, kinds of failure, problems lost and won."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from qharness import SamplesError, Status, compare, execute_programs, pass_at_k
from qharness.cli import app
from qharness.results import SampleRow
from qharness.stats.analyses import by_level, changes, failure_kinds, relative_decrease
from qharness.stats.pairing import pair
from qharness.storage.json_codec import encode

Passed = Mapping[tuple[int, int], bool]


def rows_of(passed: Passed, task: str = "t", level: str | None = None) -> list[SampleRow]:
    """Rows as a run writes them, of (document, sample); a completion says which it is."""
    return [
        SampleRow(
            task=task,
            doc_id=document,
            task_id=f"{task}/{document}",
            prompt=f"def f{document}():",
            level=level,
            sample=sample,
            completion=f"{'right' if good else 'wrong'} {document} {sample}",
            status="passed" if good else "failed",
            passed=good,
            detail="" if good else "AssertionError",
        )
        for (document, sample), good in passed.items()
    ]


def write_run(folder: Path, passed: Passed, task: str = "t") -> Path:
    return write_rows(folder, rows_of(passed, task))


def write_rows(folder: Path, rows: list[SampleRow]) -> Path:
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    (folder / "samples.jsonl").write_text("".join(json.dumps(encode(row)) + "\n" for row in rows))
    return folder


def drawn(problems: int, samples: int, rate: float, seed: int) -> dict[tuple[int, int], bool]:
    rng = np.random.default_rng(seed)
    return {(d, s): bool(rng.random() < rate) for d in range(problems) for s in range(samples)}


def test_compare_pairs_by_document_and_sample(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {(0, 0): True, (0, 1): True, (1, 0): False, (1, 1): True, (2, 0): True})
    b = write_run(tmp_path / "b", {(1, 1): False, (1, 0): False, (0, 1): False, (0, 0): True})
    document = compare(a, b).document
    assert (document["n_problems"], document["n_pairs"]) == (2, 4)
    assert document["paper"]["b"] == 2 and document["paper"]["c"] == 0
    assert document["pass@1"]["a"] == 0.75 and document["pass@1"]["b"] == 0.25
    assert document["pass@1"]["difference"] == -0.5
    assert compare(a, b).document == document


def test_compare_says_whether_random_numbers_are_shared(tmp_path: Path) -> None:
    runs = {}
    for name, record in {
        "ours": {},
        "again": {},
        "other-seed": {"spec": {"task": "t", "seed": 1}},
        "servers": {"coupled": False},
    }.items():
        runs[name] = write_run(tmp_path / name, drawn(4, 2, 0.5, len(name)))
        (runs[name] / "run.json").write_text(json.dumps(record))
    assert [compare(runs["ours"], runs[name]).coupled for name in runs] == [True, True, False, False]
    for name, said in {"again": False, "servers": True}.items():
        printed = CliRunner().invoke(app, ["compare", str(runs["ours"]), str(runs[name])]).stdout
        assert ("coupled by common random numbers" in printed) is said


def test_compare_refuses_what_has_nothing_in_common(tmp_path: Path) -> None:
    a = write_run(tmp_path / "a", {(0, 0): True})
    b = write_run(tmp_path / "b", {(0, 0): True}, task="other")
    with pytest.raises(SamplesError, match="no completion in common"):
        compare(a, b)
    with pytest.raises(SamplesError, match="no finished run"):
        compare(a, tmp_path / "nowhere")


def test_every_k_that_both_can_give(tmp_path: Path) -> None:
    ten, six = drawn(30, 10, 0.4, seed=0), drawn(30, 6, 0.2, seed=1)
    a, b = write_run(tmp_path / "a", ten), write_run(tmp_path / "b", six)
    document = compare(a, b).document
    assert {"pass@1", "pass@5"} <= document.keys() and "pass@10" not in document
    assert "pass@10" in compare(a, a).document
    counts = [sum(ten[d, s] for s in range(6)) for d in range(30)]
    figures = document["pass@5"]
    assert figures["a"] == pytest.approx(np.mean([pass_at_k(6, c, 5) for c in counts]))
    for name in ("pass@1", "pass@5"):
        figures = document[name]
        assert figures["difference"] == pytest.approx(figures["b"] - figures["a"])
        assert figures["relative_change"] == pytest.approx(100 * figures["difference"] / figures["a"])
        assert figures["ci95"][0] < figures["difference"] < figures["ci95"][1] < 0
        assert all(figures["intervals"][side][0] < figures[side] < figures["intervals"][side][1] for side in "ab")
    assert document["pass@1"]["ci95"] == document["clustered"]["ci95"]
    assert 0 < document["ranks"]["wilcoxon"] < 0.05 and 0 < document["ranks"]["mann_whitney"] < 0.05
    assert document["detectable"] == {"level": 0.05, "power": 0.8}


def test_one_problem(tmp_path: Path) -> None:
    """Its pooled pairs can be tested; nothing is known of other problems."""
    a = write_run(tmp_path / "a", {(0, s): True for s in range(8)})
    b = write_run(tmp_path / "b", {(0, s): False for s in range(8)})
    document = compare(a, b).document
    assert document["paper"]["p_value"] == 2 / 2**8 and document["paper"]["odds_ratio"] == math.inf
    unknown = [document["clustered"]["p_value"], *document["pass@1"]["ci95"], *document["pass@5"]["ci95"]]
    unknown += [*document["pass@1"]["intervals"]["a"], document["smallest_detectable_difference"]]
    assert all(math.isnan(figure) for figure in unknown)


def test_a_run_without_passes(tmp_path: Path) -> None:
    none, some = dict.fromkeys(drawn(12, 2, 0, seed=0), False), drawn(12, 2, 0.5, seed=0)
    a, b = write_run(tmp_path / "a", none), write_run(tmp_path / "b", some)
    document = compare(a, b).document
    assert math.isnan(document["pass@1"]["relative_change"]) and document["pass@1"]["difference"] > 0
    assert document["paper"]["odds_ratio"] == 0 and document["paper"]["p_value"] < 0.01
    nothing = compare(a, a).document
    assert nothing["paper"]["p_value"] == 1 and math.isnan(nothing["paper"]["odds_ratio"])
    assert nothing["clustered"]["p_value"] == 1
    bounds = [*nothing["clustered"]["ci95"], *nothing["pass@1"]["intervals"]["a"]]
    assert nothing["pass@1"]["a"] == 0 and all(math.isnan(bound) for bound in bounds)
    assert all(math.isnan(p) for p in nothing["ranks"].values())
    assert math.isnan(nothing["smallest_detectable_difference"])
    assert nothing["lost"] == nothing["won"] == []
    shown = CliRunner().invoke(app, ["compare", str(a), str(a)]).output
    (line,) = [line for line in shown.splitlines() if "intervals of these" in line]
    assert "n/a -> n/a" in line and "to" not in line


def test_problems_lost_and_won(tmp_path: Path) -> None:
    first = rows_of(
        {(0, 0): True, (0, 1): True, (1, 0): False, (1, 1): True, (2, 0): False, (2, 1): False, (3, 0): True}
    )
    second = rows_of(
        {(0, 0): True, (0, 1): False, (1, 0): False, (1, 1): False, (2, 0): False, (2, 1): True, (3, 0): False}
    )
    lost, won = changes(pair(first, second))
    assert [(each.problem.doc_id, each.problem.a, each.problem.b) for each in lost] == [
        (3, 1, 0),
        (0, 1, 0.5),
        (1, 0.5, 0),
    ]
    assert [(each.first.completion, each.second.completion) for each in lost[1:]] == [
        ("right 0 1", "wrong 0 1"),
        ("right 1 1", "wrong 1 1"),
    ]
    assert [(each.problem.task_id, each.first.status, each.second.status) for each in won] == [
        ("t/2", "failed", "passed")
    ]
    document = compare(write_rows(tmp_path / "a", first), write_rows(tmp_path / "b", second), examples=1).document
    assert document["lost"][0] == {"task": "t", "doc_id": 3, "task_id": "t/3", "a": 1.0, "b": 0.0}
    assert [each["task_id"] for each in document["examples"]] == ["t/3", "t/2"]
    assert document["examples"][1]["a"] == {
        "pass@1": 0.0,
        "sample": 1,
        "completion": "wrong 2 1",
        "status": "failed",
        "detail": "AssertionError",
    }
    assert document["failures"]["a"]["passed"] == 4 and document["failures"]["b"]["assertion"] == 5
    assert {kind: n for kind, n in document["failures"]["lost_pairs"].items() if n} == {"assertion": 3}


def test_levels(tmp_path: Path) -> None:
    hard = rows_of({(0, 0): False, (0, 1): True}, level="hard")
    easy = rows_of({(1, 0): True, (1, 1): True, (2, 0): False}, level="easy")
    found = by_level([*hard, *easy])
    assert list(found) == ["easy", "hard"]
    assert (found["easy"].n_problems, found["easy"].n_samples, found["easy"].pass_rate) == (2, 3, 0.5)
    assert by_level(rows_of({(0, 0): True})) == {}
    a, b = write_rows(tmp_path / "a", [*hard, *easy]), write_rows(tmp_path / "b", [*hard[:1], *easy])
    assert compare(a, b).document["levels"]["hard"] == {
        "n_problems": 1,
        "n_samples": 1,
        "a": 0.0,
        "b": 0.0,
        "lost_pairs": 0,
        "won_pairs": 0,
    }
    old = write_run(tmp_path / "old", {(0, 0): True, (1, 0): True})
    assert "levels" not in compare(a, old).document


def test_what_the_command_shows(tmp_path: Path) -> None:
    """Code is shown as it is: brackets are no markup, colons no pictures."""
    first, second = (rows_of({(0, 0): good, (1, 0): True}, level="easy") for good in (True, False))
    first[0] = replace(first[0], completion="    return x[red] + ':smile:'")
    second[0] = replace(second[0], status="error", detail="NameError: name 'red' is not defined")
    a, b = write_rows(tmp_path / "a", first), write_rows(tmp_path / "b", second)
    done = CliRunner().invoke(app, ["compare", str(a), str(b), "--examples", "1", "--full"])
    assert done.exit_code == 0, done.output
    shown = done.output
    assert "return x[red] + ':smile:'" in shown and "NameError: name 'red'" in shown and "t/0" in shown
    lines = [line.split() for line in shown.splitlines()]
    for line in (
        ["missing-name", "0", "1", "1"],
        ["easy", "2", "100.0%", "50.0%", "1", "/", "0"],
        ["relative", "change,", "%", "-50.00"],
    ):
        assert line in lines
    assert ["problems", "lost", "/", "won", "1", "/", "0"] in lines
    without = CliRunner().invoke(app, ["compare", str(a), str(b), "--examples", "0"])
    assert "x[red]" not in without.output and "relative change" not in without.output


def test_relative_decrease() -> None:
    """Table 7 of Giagnorio et al. 2025: CodeLlama 7B on Python, 29.8 to 23.9."""
    assert relative_decrease(29.8, 23.9) == pytest.approx(-19.8, abs=0.05)
    assert math.isnan(relative_decrease(0, 0.1))


PYTHON = {
    "assert 1 == 2": "assertion",
    "1 / 0": "exception",
    "undefined()": "missing-name",
    "'text'.reversed()": "missing-name",
    "import no_such_module": "missing-name",
    "from math import no_such_name": "missing-name",
    "import ctypes": "exception",  # the sandbox's doing
    "raise KeyError('NameError: x')": "exception",
    "def f(:": "compile-error",
    "raise SystemExit(0)": "early-exit",
    "print('x' * 10**7)": "output-limit",
    "x = bytearray(4 << 30)": "out-of-memory",
    "x = 1": "passed",
}
JAVA = {
    "assert 1 == 2;": "assertion",
    "throw new IllegalStateException();": "exception",
    "undefined();": "missing-name",
    '"text".reversed();': "missing-name",
    "java.nope.Thing x;": "missing-name",
    'Class.forName("Nope");': "missing-name",
    'int x = "text";': "compile-error",
    "Math.max(1);": "compile-error",
    "System.exit(0);": "early-exit",
    "int x = 1;": "passed",
}


MAIN = "class Main { public static void main(String[] a) throws Exception { %s } }"


@pytest.mark.parametrize(
    ("language", "shell", "programs"), [("python", "%s", PYTHON), ("java", MAIN, JAVA)], ids=["python", "java"]
)
def test_kinds_of_failure(language: str, shell: str, programs: dict[str, str]) -> None:
    outcomes = execute_programs(language, [shell % program for program in programs])
    rows = [SampleRow(status=str(each.status), detail=each.detail) for each in outcomes]
    for row, kind in zip(rows, programs.values(), strict=True):
        assert {found: n for found, n in failure_kinds([row]).items() if n} == {kind: 1}, row
    counts = failure_kinds(rows)
    assert {kind: n for kind, n in counts.items() if n} == {
        k: list(programs.values()).count(k) for k in programs.values()
    }
    assert sum(counts.values()) == len(rows) and len(counts) == len(Status) + 1
