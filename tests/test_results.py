"""Results as JSON and back: NaN, infinity, fields that are unknown or missing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from qharness import SamplesError, compare, filters
from qharness.cli import app
from qharness.evaluate.run.run_record import declared_metric
from qharness.metrics.table import unit_of
from qharness.results import Comparison, McNemar, Metric, PairedMeans, RunRecord, SampleRow
from qharness.results.paired_results import Clustered
from qharness.storage.json_codec import encode
from qharness.storage.json_values import json_text
from tests.conftest import tool

schemas = tool("schemas")
SPEC = {"task": "t", "model": "m", "quant": "rtn:3", "seed": 1, "data_dir": None, "output": "runs"}


def back_and_forth(comparison: Comparison) -> Comparison:
    return Comparison.of_document(json.loads(json_text(comparison.document)), "here")


@pytest.mark.parametrize("name", schemas.DOCUMENTS)
def test_the_schemas_in_the_docs_are_the_types(name: str) -> None:
    path = schemas.FOLDER / f"{name}.json"
    assert path.read_text(encoding="utf-8") == schemas.render(name), "python docs/tools/schemas.py writes it anew"
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text(encoding="utf-8")))


def test_nan_is_null_and_infinity_is_a_number() -> None:
    text = json_text({"a": math.nan, "b": [math.inf, -math.inf, 1.5], "c": 'Infinity, "Infinity" \\', "Infinity": 1})
    assert text == '{"a": null, "b": [1e999, -1e999, 1.5], "c": "Infinity, \\"Infinity\\" \\\\", "Infinity": 1}'
    assert json.loads(text)["b"] == [math.inf, -math.inf, 1.5]


def test_a_comparison_comes_back() -> None:
    means = PairedMeans(0.5, math.inf, math.nan)
    found = back_and_forth(
        Comparison(a="x", b="y", n_pairs=3, means={"pass@1": means}, paper=McNemar(0.5, 2, 0), clustered=Clustered(1.0))
    )
    assert (found.a, found.n_pairs, found.clustered.p_value, found.ranks) == ("x", 3, 1.0, None)
    assert found.main.b == math.inf and math.isnan(found.main.difference) and math.isnan(found.main.ci95[1])
    assert found.paper is not None and found.paper.odds_ratio == math.inf
    assert math.isnan(found.smallest_detectable_difference)


def test_an_older_comparison_lost_the_infinity_of_its_odds_ratio() -> None:
    paper = {"p_value": 0.5, "odds_ratio": None, "b": 2, "c": 0}
    found = Comparison.of_document({"a": "x", "paper": paper, "from the future": {"a": 1}, "other": 2}, "here")
    assert found.paper is not None and found.paper.odds_ratio == math.inf and not found.means
    assert "other" not in found.document


def test_a_record_with_unknown_and_missing_fields() -> None:
    record = RunRecord.of_document({"spec": {**SPEC, "new": 1}, "metrics": {"t": {"x": None, "y": 2}}, "new": []}, "")
    assert (record.spec.quant, record.spec.output, record.hosting.storage_bytes) == ("rtn:3", Path("runs"), None)
    assert math.isnan(record.own_metrics["x"]) and record.own_metrics["y"] == 2
    assert math.isnan(record.timings.generation_s) and math.isnan(record.hosting.megabytes)
    assert record.main_metric is not None and record.main_metric.name == "x"
    assert RunRecord.of_document({}, "").main_metric is None


def test_older_runs_are_coupled_unless_vllm_made_them() -> None:
    def noise(document: dict[str, object], **spec: object) -> int | None:
        return RunRecord.of_document({**document, "spec": {**SPEC, "seed": 3, **spec}}, "").noise

    assert noise({}) == 3 and noise({}, temperature=0.0) == 0
    assert noise({}, backend="vllm") is None and noise({"coupled": False}) is None


def test_versions_stand_beside_those_of_toolchains() -> None:
    versions = {"qharness": "1", "vllm": None, "toolchains": {"java": "21"}, "packages": {"numpy": "2"}}
    found = RunRecord.of_document({"versions": versions}, "").versions
    assert found.python == {"qharness": "1", "vllm": None} and found.toolchains == {"java": "21"}
    assert encode(found) == versions and "packages" not in encode(RunRecord().versions)


@pytest.mark.parametrize("document", [[], {"spec": {"task": 3}}, {"timings": []}, {"spec": {**SPEC, "seed": -1}}])
def test_a_record_of_another_shape_is_one_line(document: object) -> None:
    with pytest.raises(SamplesError, match=r"^run\.json cannot be read: \S") as error:
        RunRecord.of_document(document, "run.json")
    assert "\n" not in str(error.value)


def test_rows_of_programs_and_of_texts() -> None:
    program = {"task": "t@char", "doc_id": 1, "sample": 0, "completion": "x", "status": "passed", "passed": True}
    text = {"task": "t", "doc_id": 2, "sample": 0, "metrics": {"bleu": 0.5, "list": [1], "none": None}, "level": 3}
    first, second = SampleRow.of_documents([program, text], "here")
    assert (first.base_task, first.passed, first.scores) == ("t", True, {})
    assert (second.status, second.scores, second.level) == (None, {"bleu": 0.5}, 3)
    written = encode(first)
    assert written.items() >= program.items() and not written.keys() & {"metrics", "level", "detail", "in_process"}


# A run as version 0.1.0 wrote it: fewer fields, and a comparison that lost its infinity.
OLD_SPEC = {
    "task": "tiny-python", "model": "tinycoder", "quant": "rtn:2", "calib": None, "samples": 2,
             "temperature": 0.2, "top_p": 0.95, "max_new_tokens": 300, "limit": 4, "seed": 0, "batch_size": None,
             "device": "cpu", "dtype": "float32", "allow_unsandboxed": False, "data_dir": None, "output": "runs",
             "baseline": None, "compare": True,
}  # fmt: skip
OLD_RUN = {
    "spec": OLD_SPEC,
    "metrics": {"tiny-python": {"pass@1": 0.5, "pass@5": None}},
    "seeds": {"sampling": 0},
    "versions": {"qharness": "0.1.0", "torch": "2.8.0", "toolchains": {"python": "3.11.4"}},
    "machine": {"platform": "Linux", "device": "cpu", "dtype": "torch.float32"},
    "data": [],
    "hosting": {"resident_bytes": 8000000},
    "timings": {"total_s": 3.5, "generation_s": 2.5},
    "isolation": "namespaces",
    "batches": {"size": 8, "rows": None},
    "notes": [],
}  # fmt: skip
OLD_BASELINE = {
    "a": "runs/full", "b": "runs/quantized", "n_problems": 4, "n_pairs": 8,
    "pass@1": {"a": 1.0, "b": 0.5, "difference": -0.5, "ci95": [None, None]},
    "paper": {"p_value": 0.125, "odds_ratio": None, "b": 4, "c": 0},
    "clustered": {"p_value": 0.5, "ci95": [None, None]},
    "smallest_detectable_difference": 0.3,
}  # fmt: skip


def old_run(folder: Path, quant: str, passing: int, **more: object) -> Path:
    """A folder as version 0.1.0 left it, of four problems and two samples; `passing` of its completions pass."""
    folder.mkdir(parents=True)
    rows = [
        {"task": "tiny-python", "doc_id": n // 2, "task_id": f"tiny/{n // 2}", "sample": n % 2, "seed": 0,
         "prompt_sha": "0", "completion": "    return 1\n", "status": "passed" if n < passing else "failed",
         "passed": n < passing, "detail": "", "seconds": 0.1}
        for n in range(8)
    ]  # fmt: skip
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    document = {**OLD_RUN, "spec": {**OLD_SPEC, "quant": quant}, **more}
    (folder / "run.json").write_text(json.dumps(document))
    return folder


def test_runs_of_version_0_1_are_compared_and_reported(tmp_path: Path) -> None:
    full, quantized = old_run(tmp_path / "runs/full", "none", 8), old_run(tmp_path / "runs/q", "rtn:2", 4)
    again = old_run(tmp_path / "runs/again", "rtn:3", 4, baseline=OLD_BASELINE)
    found = compare(full, quantized)
    assert found.main.difference == -0.5 and found.paper is not None and found.paper.odds_ratio == math.inf
    assert '"odds_ratio": 1e999' in json_text(found.document) and found.robustness is None
    runner = CliRunner()
    for arguments in (["compare", full, quantized], ["report", tmp_path / "runs", "--output", tmp_path / "report"]):
        done = runner.invoke(app, [str(each) for each in arguments])
        assert done.exit_code == 0, done.output
    old = RunRecord.of_document(json.loads((again / "run.json").read_text()), again).baseline
    assert old is not None and old.paper is not None and old.paper.odds_ratio == math.inf


def test_a_row_of_the_table_is_a_metric_of_lm_evals() -> None:
    found = filters.bleu
    assert found.__name__ == "bleu" and found(["the sum of two"], ["the sum of two"]) == pytest.approx(100)
    assert {name: unit_of(name) for name in ("bleu", "pass@10", "chrf")} == {
        "bleu": "percent",
        "pass@10": "ratio",
        "chrf": "",
    }
    with pytest.raises(AttributeError, match="no attribute 'blue'"):
        _ = filters.blue


@pytest.mark.parametrize(
    ("metadata", "better", "expected"),
    [
        ({}, {"pass_at_k": True}, Metric("pass@1", True, "ratio")),
        ({"metric": "edits"}, {"pass@1": True, "edits": False}, Metric("edits", False, "")),
        ({"metric": "missing"}, {}, Metric("pass@1", True, "ratio")),
    ],
)
def test_a_task_declares_its_main_metric(metadata: dict[str, str], better: dict[str, bool], expected: Metric) -> None:
    task = SimpleNamespace(get_config={"metadata": metadata}.get, higher_is_better=lambda: better)
    run: Any = SimpleNamespace(task=SimpleNamespace(tasks={"t": task}))
    assert declared_metric(run, {"pass@1": 0.5, "edits": 3.0}) == expected
    assert declared_metric(run, {}) is None
