"""What was made before is found without making anything: finished runs, comparisons, lm-eval's index of tasks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lm_eval.tasks._index import TaskIndex

from qharness import MaxLoss, RunSpec, run
from qharness.evaluate.run import task_index
from qharness.evaluate.run.run_folder import RUN, SAMPLES
from qharness.models.checkpoint import BUNDLED
from qharness.quantization.resolution import bind_model
from qharness.results import RunResult
from qharness.stats import comparison_cache
from qharness.stats.comparison_cache import RecordedRun, compare_once
from qharness.storage import fingerprints
from qharness.storage.benchmark_files import cache_path
from qharness.study import known_runs
from qharness.study.jobs import Job
from qharness.study.known_runs import known_results, remember
from qharness.study.live_view import Lines
from qharness.study.sweep import carry_out, with_baselines
from tests import report_runs

Changed = Callable[[Path, RunSpec, pytest.MonkeyPatch], RunSpec]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunSpec, RunResult]:
    """A run that was compared with its baseline, of a model that may be changed."""
    top = tmp_path_factory.mktemp("known")
    shutil.copytree(BUNDLED["tinycoder"], top / "model")
    spec = RunSpec(
        task="warmup-python", model=str(top / "model"), quant="ternary", limit=2, samples=1, max_new_tokens=20,
        output=top / "runs",
    )  # fmt: skip
    return spec, run(spec)


def known(spec: RunSpec) -> list[RunResult] | None:
    return known_results([spec], bind_model(spec.model_spec))


def test_it_is_found_and_says_the_same(made: tuple[RunSpec, RunResult], capsys: pytest.CaptureFixture[str]) -> None:
    spec, result = made
    (found,) = known(spec) or [None]
    assert found is not None and found.baseline is not None and result.baseline is not None
    assert (found.folder, found.document) == (result.folder, result.document)
    assert (found.baseline.folder, found.baseline.document) == (result.baseline.folder, result.baseline.document)
    said = capsys.readouterr().err.splitlines()
    assert said == [f"already done: {result.baseline.folder}", f"already done: {result.folder}"]
    assert run(spec).document == result.document  # the long way


def test_a_study_of_what_is_done_starts_nothing(made: tuple[RunSpec, RunResult]) -> None:
    spec, result = made
    jobs = [Job(each) for each in with_baselines([spec])]

    class Nobody:
        def run(self, schedule: Any, watcher: Any) -> Any:
            raise AssertionError("it was asked to do a job")

    baseline, quantized = carry_out(jobs, Nobody(), Lines(jobs))
    assert result.baseline is not None and quantized.result is not None and baseline.path is not None
    assert (quantized.path, quantized.result.document) == (result.folder, result.document)
    assert baseline.path == result.baseline.folder and not baseline.error


def test_another_margin_is_another_verdict_on_the_same_run(made: tuple[RunSpec, RunResult]) -> None:
    spec, result = made
    (found,) = known(replace(spec, max_loss=MaxLoss(40))) or [None]
    assert found is not None and found.folder == result.folder
    assert found.document["verdict"]["max_loss"] == 40 != result.document["verdict"]["max_loss"]
    assert json.loads((found.folder / RUN).read_text()) == found.document
    assert known(spec)[0].document == result.document  # type: ignore[index]


def no_run(folder: Path, spec: RunSpec, _: pytest.MonkeyPatch) -> RunSpec:
    (folder / RUN).unlink()
    return spec


def half_a_run(folder: Path, spec: RunSpec, _: pytest.MonkeyPatch) -> RunSpec:
    (folder / RUN).write_text('{"spec": {')
    return spec


def other_weights(_: Path, spec: RunSpec, __: pytest.MonkeyPatch) -> RunSpec:
    os.utime(Path(spec.model, "model.safetensors"))
    return spec


def other_versions(_: Path, spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> RunSpec:
    registry = known_runs.get_registry()
    plugins = {name: f"{version}.1" for name, version in registry.plugins.items()}
    monkeypatch.setattr(known_runs, "get_registry", lambda: replace(registry, plugins=plugins))
    return spec


def other_program(_: Path, spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> RunSpec:
    monkeypatch.setattr(known_runs, "program_hash", lambda: "0")
    return spec


def other_tasks(_: Path, spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> RunSpec:
    """A file of the folder with the task's YAML has another time."""
    seen = fingerprints.stat_hash
    monkeypatch.setattr(known_runs, "stat_hash", lambda paths: seen(each.parent / f"x{each.name}" for each in paths))
    return spec


def other_device(_: Path, spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> RunSpec:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    return spec


def other_request(_: Path, spec: RunSpec, __: pytest.MonkeyPatch) -> RunSpec:
    return replace(spec, limit=1)


def other_mirror(_: Path, spec: RunSpec, monkeypatch: pytest.MonkeyPatch) -> RunSpec:
    monkeypatch.setenv("QHARNESS_DATA_DIR", str(spec.output))
    return spec


CHANGES: tuple[Changed, ...] = (
    no_run, half_a_run, other_weights, other_versions, other_program, other_tasks, other_device, other_request,
    other_mirror,
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_has_changed_goes_the_long_way(
    change: Changed, made: tuple[RunSpec, RunResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, result = made
    path = Path(spec.model, "model.safetensors")
    before, times = (result.folder / RUN).read_bytes(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    assert known(spec) is not None
    try:
        assert known(change(result.folder, spec, monkeypatch)) is None
    finally:
        monkeypatch.undo()
        os.utime(path, ns=times)
        (result.folder / RUN).write_bytes(before)
    assert known(spec) is not None


def test_changed_data_of_a_benchmark_is_noticed(made: tuple[RunSpec, RunResult], tmp_path: Path) -> None:
    spec, result = made
    asked, data = replace(spec, seed=5, compare=False), tmp_path / "rows.jsonl"
    data.write_text("{}\n")
    remember(asked, bind_model(asked.model_spec), result.folder, None, [data])
    assert known(asked) is not None
    data.write_text('{"a": 1}\n')
    assert known(asked) is None
    data.unlink()
    assert known(asked) is None


def test_a_damaged_note_is_none(made: tuple[RunSpec, RunResult]) -> None:
    spec, _ = made
    path = known_runs._path(spec, bind_model(spec.model_spec), known_runs.FolderHashes())
    assert path is not None
    good = path.read_bytes()
    for text in (b"", b"[]", b'{"run": 1}', good[: len(good) // 2]):
        path.write_bytes(text)
        assert known(spec) is None
    path.write_bytes(good)
    assert known(spec) is not None


_HEAVY = ("torch", "lm_eval", "transformers", "datasets", "pandas", "matplotlib", "accelerate", "tokenizers", "scipy.stats",
          "pyarrow", "safetensors")  # fmt: skip
_IMPORTS = f"""
import sys
from qharness.cli import main
try: main()
except SystemExit as end: code = end.code
sys.stderr.write(f"CODE {{code}} HEAVY {{[name for name in {_HEAVY} if name in sys.modules]}}")
"""


def imported(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, which ends with its exit status and the heavy modules it imported."""
    command = [sys.executable, "-c", _IMPORTS, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_a_finished_run_imports_nothing_heavy(made: tuple[RunSpec, RunResult]) -> None:
    """And prints what the run itself printed; the folder of runs is listed as lightly."""
    spec, result = made
    done = imported(
        "run", "--task", spec.task, "--model", spec.model, "--quant", spec.quant, "--limit", 2, "--samples", 1,
        "--max-new-tokens", 20, "--output", spec.output, "--json",
    )  # fmt: skip
    assert done.stderr.endswith("CODE 0 HEAVY []"), done.stderr
    assert f"already done: {result.folder}" in done.stderr
    assert json.loads(done.stdout) == json.loads(json.dumps(result.document))
    listed = imported("runs", spec.output)
    assert listed.stderr.endswith("CODE 0 HEAVY []") and "ternary" in listed.stdout


def test_a_report_draws_and_computes_without_what_takes_seconds_to_import(
    made: tuple[RunSpec, RunResult], tmp_path: Path
) -> None:
    done = imported("report", made[0].output, "--output", tmp_path / "report")
    assert done.stderr.endswith("CODE 0 HEAVY ['matplotlib']"), done.stderr


def test_runs_of_many_problems_are_compared_so_too() -> None:
    code = "import sys, numpy; from qharness.stats.robustness import rank_tests; rank_tests(numpy.arange(60.), numpy.zeros(60))"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'scipy.stats' not in sys.modules"], check=True)


@pytest.fixture
def pair(tmp_path: Path) -> list[RecordedRun]:
    """Two finished runs, written by hand."""
    specs = [RunSpec("t", "m", quant, samples=2, temperature=0.5) for quant in ("none", "rtn:3")]
    passed = [[[True, True], [True, False], [False, True]], [[True, False], [False, False], [False, True]]]
    folders = [report_runs.write_run(tmp_path, *each) for each in zip(specs, passed, strict=True)]
    return [RecordedRun.of(RunResult(each, json.loads((each / RUN).read_text()))) for each in folders]


def unread(side: RecordedRun) -> RecordedRun:
    """The same run, whose rows must not be read."""

    def read() -> Any:
        raise AssertionError("its rows were read")

    return replace(side, read=read)


def test_two_runs_are_compared_once(pair: list[RecordedRun]) -> None:
    first = compare_once(*pair)
    again = compare_once(*map(unread, pair))
    assert first is not None and again is not None and again.document == first.document and first.n_pairs == 6


@pytest.mark.parametrize("side", [0, 1])
def test_completions_that_have_changed_are_compared_anew(side: int, pair: list[RecordedRun]) -> None:
    before = compare_once(*pair)
    path = pair[side].folder / SAMPLES
    path.write_text(path.read_text().replace("true", "false", 1).replace('"passed"', '"failed"', 1))
    path.write_text(path.read_text().replace('"failed": ', '"passed": ', 1))
    with pytest.raises(AssertionError, match="rows were read"):
        compare_once(*map(unread, pair))
    after = compare_once(*pair)
    assert before is not None and after is not None and after.document != before.document


def test_a_damaged_comparison_is_made_again_and_no_cache_is_done_without(
    pair: list[RecordedRun], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = compare_once(*pair)
    path = comparison_cache._path(*pair)
    assert first is not None and path is not None
    for text in ("", "[1]", '{"a": 3}'):
        path.write_text(text)
        found = compare_once(*pair)
        assert found is not None and found.document == first.document
        assert json.loads(path.read_text())["n_pairs"] == 6
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "file/cache"))
    found = compare_once(*pair)
    assert found is not None and found.document == first.document


def test_lm_evals_index_comes_from_the_cache_as_lm_eval_makes_it(tmp_path: Path) -> None:
    folder, built = tmp_path / "tasks", 0

    def build(paths: Any) -> Any:
        nonlocal built
        built += 1
        return TaskIndex.build(paths)

    folder.mkdir()
    (folder / "base.yaml").write_text("dataset_path: x\ntag: [one, two]\nmetric: !function utils.f\n")
    (folder / "a.yaml").write_text("include: base.yaml\ntask: a\n")
    (folder / "b.yaml").write_text("group: b\ntask: [a]\nmetadata: {version: 1.5}\n")
    for expected in (1, 1):
        found = task_index._index(folder, build)
        assert found == TaskIndex.build([folder]) and set(found) == {"a", "b", "one", "two"} and built == expected
    (folder / "c.yaml").write_text("task: c\n")
    assert "c" in task_index._index(folder, build) and built == 2
    path = cache_path(task_index.KIND, task_index._key(folder), "index.json")
    path.write_text("[[1, 2]]")
    assert task_index._index(folder, build) == TaskIndex.build([folder]) and built == 3 and not path.exists()
