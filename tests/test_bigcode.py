"""bigcode-evaluation-harness's tasks, on a stand-in with its interface: the real one is on no package index."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qharness import (
    DataError,
    MissingDependencyError,
    QHarnessError,
    RunResult,
    RunSpec,
    SandboxError,
    TaskFamily,
    UnknownNameError,
    run,
)
from qharness.cli.listing import ListedKind, _offers
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.registry import build_registry, get_registry
from tests.conftest import REPOSITORY
from tests.test_registry import entry_point

STANDINS = REPOSITORY / "tests/standins/for_bigcode"


@pytest.fixture(scope="module")
def standin() -> Iterator[Any]:
    """The stand-in, importable from here to the end of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(STANDINS)
        from bigcode_eval.tasks import small

        assert Path(small.__file__).is_relative_to(STANDINS)
        yield small
    for name in [name for name in sys.modules if name.split(".")[0] == "bigcode_eval"]:
        del sys.modules[name]


def spec(output: Path, task: str = "bigcode:programs", **changes: Any) -> RunSpec:
    given = {"temperature": 0.8, "max_new_tokens": 80, "samples": 2, "allow_unsandboxed": True, **changes}
    return RunSpec(task, output=output, **given)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def listed() -> list[str]:
    return [row.name for row in _offers(get_registry())[ListedKind.TASKS]]


def test_where_it_is_not_installed() -> None:
    assert "bigcode:TASK" not in listed() and "bigcode_eval" not in sys.modules
    with pytest.raises(MissingDependencyError, match="bigcode_eval is needed: pip install git"):
        load_task("bigcode:humaneval")


def test_two_families_of_one_name_are_an_error() -> None:
    family = TaskFamily("bigcode", "x", "", "", list, lambda name: {}, "")
    with pytest.raises(QHarnessError, match="family of tasks 'bigcode' is offered by two plugins"):
        build_registry(entry_points=[entry_point("p_family", qharness_tasks=lambda: [family])])


def test_listing_does_not_import_it(standin: Any) -> None:
    modules = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "bigcode_eval"}
    assert "bigcode:TASK" in listed()
    assert "bigcode_eval" not in sys.modules
    sys.modules.update(modules)


def test_its_own_prompts_stop_words_and_defaults(standin: Any) -> None:
    (task,) = load_task("bigcode:programs").tasks.values()
    theirs = standin.Programs()
    assert [doc["prompt"] for doc in task.eval_docs] == [theirs.get_prompt(doc) for doc in theirs.get_dataset()]
    assert [doc["task_id"] for doc in task.eval_docs] == [doc["task_id"] for doc in theirs.get_dataset()]
    arguments = task.get_config("generation_kwargs")
    assert arguments["until"] == theirs.stop_words and (arguments["temperature"], arguments["top_p"]) == (0.2, 0.95)
    assert task.get_config("repeats") == 1


@pytest.fixture(scope="module")
def compared(standin: Any, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A quantized run, and the one it is compared with."""
    return run(spec(tmp_path_factory.mktemp("runs"), quant="rtn:3"))


def test_results_are_its_own(compared: RunResult, standin: Any) -> None:
    rows = lines(compared.folder)
    theirs = standin.Programs()
    dataset = theirs.get_dataset()
    generations = [[row["program"] for row in rows if row["doc_id"] == n] for n in range(4)]
    whole = [theirs.postprocess_generation(row["prompt"] + row["completion"], row["doc_id"]) for row in rows]
    assert [row["program"] for row in rows] == whole
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ALLOW_CODE_EVAL", "1")
        found = theirs.process_results(generations, [theirs.get_reference(doc) for doc in dataset])
    assert compared.metrics == {name: pytest.approx(value) for name, value in found.items()}
    assert compared.document["isolation"] is None


def test_verdicts_are_compared_in_pairs(compared: RunResult) -> None:
    """Samples of one problem differ, so that each had to be asked for."""
    rows = lines(compared.folder)
    assert {row["status"] for row in rows} == {"passed", "failed"}
    comparison = compared.document["baseline"]
    before = lines(Path(comparison["a"]))
    rates = [np.mean([row["passed"] for row in each]) for each in (before, rows)]
    assert (comparison["pass@1"]["a"], comparison["pass@1"]["b"]) == tuple(map(pytest.approx, rates))
    assert comparison["n_pairs"] == 8 and comparison["paper"]["p_value"] <= 1
    mixed = [n for n in range(4) if len({row["passed"] for row in rows + before if row["doc_id"] == n}) > 1]
    assert mixed


def test_results_by_place_are_known_of_all_together_only(standin: Any, tmp_path: Path) -> None:
    done = run(spec(tmp_path, "bigcode:by-place", temperature=0.0, samples=1))
    assert done.metrics["pass@1"] > 0
    assert "pass@1 is known of all problems together only" in done.document["notes"]
    assert {row["status"] for row in lines(done.folder)} == {None}
    assert all(row["metrics"] == {"pass@1": None} for row in lines(done.folder))


def test_results_in_the_temporary_folder_are_those_of_one_call(
    standin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MultiPL-E's tasks average every file of results there; another run's would count, and an earlier call's."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "problem-9.results.json").write_text("1.0")
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    before = os.environ.get("TMPDIR")
    done = run(spec(tmp_path / "runs", "bigcode:by-folder", temperature=0.0, samples=1))
    alike = run(spec(tmp_path / "runs", "bigcode:programs", temperature=0.0, samples=1))
    assert done.metrics == {"pass@1": pytest.approx(alike.metrics["pass@1"])} and done.document["notes"] == []
    assert [row["passed"] for row in lines(done.folder)] == [row["passed"] for row in lines(alike.folder)]
    assert [path.name for path in shared.iterdir()] == ["problem-9.results.json"]
    assert tempfile.tempdir == str(shared) and os.environ.get("TMPDIR") == before


def test_texts_are_compared_by_score(standin: Any, tmp_path: Path) -> None:
    """A score of all problems is no mean of theirs; the run has the one, and the comparison the others."""
    done = run(
        spec(
            tmp_path, "bigcode:summaries", quant="rtn:3", allow_unsandboxed=False, samples=1, limit=3, max_new_tokens=30
        )
    )
    scores = [row["metrics"]["length"] for row in lines(done.folder)]
    assert done.metrics == {"length": pytest.approx(np.sqrt(np.mean(np.square(scores))))}
    assert done.document["baseline"]["metric"] == "length"
    assert done.document["baseline"]["length"]["b"] == pytest.approx(np.mean(scores))


def test_what_cannot_be_run(standin: Any, tmp_path: Path) -> None:
    cases = [
        (spec(tmp_path, allow_unsandboxed=False), SandboxError, "runs generated code itself, in no sandbox"),
        (
            spec(tmp_path, "bigcode:program"),
            UnknownNameError,
            "unknown task 'bigcode:program': did you mean bigcode:prog",
        ),
        (spec(tmp_path, "bigcode:infilling"), QHarnessError, "prompts with prefix and suffix"),
        (
            spec(tmp_path, "bigcode:without-data"),
            DataError,
            "loads somebody/some-problems .python. from huggingface.co",
        ),
        (spec(tmp_path, "bigcode:programs@word:0.5"), QHarnessError, "cannot be perturbed: bigcode-evaluation-harness"),
    ]
    for asked, kind, complaint in cases:
        with pytest.raises(kind, match=complaint):
            run(asked)
    assert not list(tmp_path.iterdir())


def test_lm_evals_command_line_finds_them_by_a_yaml(standin: Any) -> None:
    from lm_eval.tasks import TaskManager

    from qharness.evaluate.run.dynamic_tasks import folder_of, is_named

    assert is_named("bigcode:programs") and not is_named("humaneval") and not is_named("other:programs")
    with folder_of(["bigcode:programs"]) as folder:
        manager = TaskManager(include_path=str(folder), include_defaults=False)
        (task,) = manager.load(["bigcode:programs"])["tasks"].values()
    assert len(task.eval_docs) == 4
