"""The search for the smallest model that holds, on real models and tasks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from qharness import MaxLoss, QHarnessError, RunSpec, compare, run
from qharness.cli import app
from qharness.evaluate.run.drawing_order import drawing_order
from qharness.report import read_collection
from qharness.report.data.findings import findings
from qharness.results import RunResult, VerdictClass
from qharness.study import search
from qharness.study.search import SearchResult, SearchSpec, choose
from tests import chat_templates, tiny_models

SAMPLES, PROBLEMS = 8, 6


def spec(model: Path, output: Path, **changes: Any) -> RunSpec:
    given: dict[str, Any] = {
        "task": "warmup-python",
        "max_new_tokens": 150,
        "samples": SAMPLES,
        "max_loss": MaxLoss(15),
    }
    return RunSpec(model=str(model), output=output, **{**given, **changes})


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "BATCH", 8)


@pytest.fixture(scope="module")
def found(memorized: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SearchResult]:
    output = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "BATCH", 8)
        return output, choose(SearchSpec([spec(memorized, output)], ["ternary", "rtn:8", "rtn:7"], order=3))


def passes(result: RunResult) -> dict[tuple[int, int], bool]:
    rows = [json.loads(line) for line in (result.folder / "samples.jsonl").read_text().splitlines()]
    return {(row["doc_id"], row["sample"]): row["passed"] for row in rows}


@pytest.mark.long
def test_the_one_that_loses_is_left_early_and_the_one_that_holds_ends_it(found: tuple[Path, SearchResult]) -> None:
    _, result = found
    ternary, eight, seven = result.candidates
    assert [each.verdict for each in result.candidates] == [VerdictClass.LOSES, VerdictClass.HOLDS, None]
    assert result.chosen is eight and not seven.tasks
    assert ternary.tasks[0].pairs < eight.tasks[0].pairs <= ternary.tasks[0].of == SAMPLES * PROBLEMS
    assert result.of == 4 * SAMPLES * PROBLEMS and result.programs == ternary.tasks[0].pairs + 2 * eight.tasks[0].pairs


@pytest.mark.long
def test_the_folders_are_runs_of_the_first_pairs_in_the_order(found: tuple[Path, SearchResult]) -> None:
    output, result = found
    baseline, ternary, eight = result.runs
    assert sorted(path.name for path in output.iterdir()) == sorted(each.folder.name for each in result.runs)
    order = drawing_order(PROBLEMS, SAMPLES, 3)
    for each, pairs in ((ternary, result.candidates[0].tasks[0].pairs), (eight, result.candidates[1].tasks[0].pairs)):
        assert set(passes(each)) == {divmod(int(cell), SAMPLES) for cell in order[:pairs]}
        assert each.record.spec.drawn is not None and each.record.spec.drawn.pairs == pairs
        assert compare(baseline.folder, each.folder).n_pairs == pairs == each.record.baseline.n_pairs  # type: ignore[union-attr]
    full, quantized = passes(baseline), passes(ternary)
    losses = np.array([full[place] - quantized[place] for place in quantized])
    assert losses.mean() > 0.15


@pytest.mark.long
def test_the_report_reads_them(found: tuple[Path, SearchResult]) -> None:
    output, _ = found
    collection = read_collection([output])
    assert len(collection.runs) == 3 and not collection.unfinished
    (finding,) = findings(collection, MaxLoss(15))
    assert {each.candidate.name for each in finding.judged} == {"ternary", "rtn:8"}
    assert "in part" in finding.notes[-1]


@pytest.mark.long
def test_started_again_it_makes_nothing_and_a_run_goes_on_from_it(
    found: tuple[Path, SearchResult], memorized: Path
) -> None:
    output, before = found
    journals = {path: path.read_bytes() for path in output.glob("*/journal.jsonl")}
    again = choose(SearchSpec([spec(memorized, output)], ["ternary", "rtn:8"], order=3))
    assert {path: path.read_bytes() for path in output.glob("*/journal.jsonl")} == journals
    assert [each.verdict for each in again.candidates] == [VerdictClass.LOSES, VerdictClass.HOLDS]
    whole = run(spec(memorized, output, quant="ternary", compare=False))
    drawn = passes(before.runs[1])
    assert {place: passed for place, passed in passes(whole).items() if place in drawn} == drawn
    made = whole.record.timings.completions
    assert made == SAMPLES * PROBLEMS - len(drawn)


def test_the_time_may_be_up(memorized: Path, tmp_path: Path) -> None:
    result = choose(SearchSpec([spec(memorized, tmp_path)], ["rtn:8", "rtn:7"], minutes=1e-4))
    tried, left = result.candidates
    assert result.chosen is None and not left.tasks and len(result.runs) == 2
    assert tried.verdict is VerdictClass.CANNOT_TELL and tried.tasks[0].pairs == 8


def test_zero_against_zero_is_no_success(random_llama: Path, tmp_path: Path) -> None:
    few = spec(random_llama, tmp_path, samples=2, max_new_tokens=5)
    result = choose(SearchSpec([few], ["rtn:8", "rtn:7"]))
    assert [each.verdict for each in result.candidates] == [VerdictClass.SAYS_NOTHING, None] and result.chosen is None


@pytest.mark.long
def test_the_command(memorized: Path, tmp_path: Path) -> None:
    options = [
        "--model",
        str(memorized),
        "--samples",
        str(SAMPLES),
        "--max-new-tokens",
        "150",
        "--output",
        str(tmp_path),
    ]
    asked = ["choose", "--task", "warmup-python", "--quant", "ternary", "rtn:8", "--max-loss", "15", *options]
    done = CliRunner().invoke(app, asked, standalone_mode=False)
    assert done.exit_code == 0, done.output
    (first, *_) = [line for line in done.stdout.splitlines() if "holds: " in line]
    assert first.startswith("rtn is the smallest of 2 that holds: ") or first.startswith("rtn:8 is the smallest of 2")
    assert "pass@1 on warmup-python" in first and "completions" in first
    assert "ternary" in done.stdout and "loses" in done.stdout
    none = CliRunner().invoke(
        app, [*asked[:4], "ternary", *asked[6:], "--fail-unless-holds", "--json"], standalone_mode=False
    )
    document = json.loads(none.stdout[none.stdout.index("{") :])
    assert none.return_value == 3 and document["chosen"] is None
    assert (
        document["candidates"][0]["class"] == "loses" and document["candidates"][0]["tasks"][0]["loss"]["lower95"] > 15
    )


@pytest.mark.long
def test_several_tasks_must_all_hold(memorized: Path, tmp_path: Path) -> None:
    """The model knows nothing of the second task, which so says nothing of a candidate that holds on the first."""
    hard = spec(memorized, tmp_path, task="tiny-python", limit=1, samples=2, max_new_tokens=5)
    result = choose(SearchSpec([spec(memorized, tmp_path), hard], ["ternary", "rtn:8", "rtn:7"]))
    ternary, eight, seven = result.candidates
    assert [of.task for of in ternary.tasks] == ["warmup-python"] and ternary.verdict is VerdictClass.LOSES
    assert [of.task for of in eight.tasks] == ["warmup-python", "tiny-python"] and not seven.tasks
    assert [of.verdict for of in eight.tasks] == [VerdictClass.HOLDS, VerdictClass.SAYS_NOTHING]
    assert eight.verdict is VerdictClass.SAYS_NOTHING and result.chosen is None
    first, second = eight.tasks
    baseline = max(ternary.tasks[0].pairs, first.pairs) + second.pairs
    assert result.programs == baseline + ternary.tasks[0].pairs + first.pairs + second.pairs
    assert result.of == 4 * (SAMPLES * PROBLEMS + 2) and len(result.runs) == 5
    for each in result.runs[2:]:
        assert each.baseline is not None and each.record.spec.task == each.baseline.record.spec.task


def test_a_chat_is_searched_as_a_chat(tmp_path: Path) -> None:
    model = tiny_models.save_chat_model(tmp_path / "model", chat_templates.PLAIN)
    asked = spec(model, tmp_path / "runs", task="tiny-python", limit=2, samples=2, max_new_tokens=5, chat=True)
    result = choose(SearchSpec([asked], ["rtn:8"]))
    assert result.candidates[0].verdict is VerdictClass.SAYS_NOTHING
    assert len(result.runs) == 2 and all("--chat--" in each.folder.name for each in result.runs)
    rows = [json.loads(line) for line in (result.runs[0].folder / "samples.jsonl").read_text().splitlines()]
    assert all("<|assistant|>" in row["prompt"] for row in rows) and len(rows) == 4
    whole = run(replace(asked, quant="rtn:8"))
    assert whole.record.chat and whole.record.timings.completions == 0


@pytest.mark.parametrize(
    ("changes", "quants", "complaint"),
    [
        ({}, ["none"], "leave it out"),
        ({"max_loss": MaxLoss(5, relative=True)}, ["rtn:8"], "in points"),
        ({"task": "tiny-summaries"}, ["rtn:8"], "tiny-summaries"),
        ({}, ["int8-dynamic:activations=tensor"], "share a batch"),
    ],
)
def test_mistakes_are_one_line(
    changes: dict[str, Any], quants: list[str], complaint: str, random_llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(QHarnessError, match=complaint) as caught:
        choose(SearchSpec([spec(random_llama, tmp_path / "runs", **changes)], quants))
    assert "\n" not in str(caught.value) and not (tmp_path / "runs").exists()
