"""Results as JSON and back: NaN, infinity, fields that are unknown or missing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from qharness import SamplesError
from qharness.results import Comparison, McNemar, PairedMeans, RunRecord, SampleRow
from qharness.results.paired import Clustered
from qharness.storage.json_codec import encode
from qharness.storage.json_values import json_text

SPEC = {"task": "t", "model": "m", "quant": "rtn:3", "seed": 1, "data_dir": None, "output": "runs"}


def back_and_forth(comparison: Comparison) -> Comparison:
    return Comparison.of_document(json.loads(json_text(comparison.document)), "here")


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
