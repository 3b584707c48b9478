"""What a study measures of its models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qharness.errors import StudyError
from qharness.study.executors.in_process import InProcess
from qharness.study.jobs import Job, Measurement
from qharness.study.live_view import Lines
from qharness.study.study_file import read_study
from qharness.study.sweep import carry_out, plan


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "study.toml"
    file.write_text(text)
    return file


def test_each_model_is_measured_once_and_full_precision_with_it(tmp_path: Path) -> None:
    study = read_study(
        write(
            tmp_path,
            'quants = ["rtn:3"]\ntasks = ["tiny-python", "tiny-java"]\nseeds = [0, 1]\nmeasure = ["profile", "noise"]',
        )
    )
    found = [(kind, spec.quant) for kind, spec in study.measurements()]
    quant = study.specs(tmp_path)[0].quant
    assert found == [("profile", "none"), ("profile", quant), ("noise", quant)]


def test_a_study_may_measure_only(tmp_path: Path) -> None:
    study = read_study(write(tmp_path, 'quants = ["rtn:3"]\nmeasure = ["noise"]'))
    assert study.specs(tmp_path) == []
    assert len(study.measurements()) == 1
    with pytest.raises(StudyError, match=r"measure\.0"):
        read_study(write(tmp_path, 'measure = ["speed"]'))


def test_noise_is_measured_and_not_again(random_llama: Path, tmp_path: Path) -> None:
    study = read_study(
        write(tmp_path, f'models = ["{random_llama}"]\nquants = ["rtn:3"]\nmeasure = ["noise"]\ndtype = "float32"')
    )
    (measured,) = study.measurements()
    job = Job(Measurement(measured[1], tmp_path), measured[0])
    assert [each.done for each in plan([job])] == [False]
    (attempt,) = carry_out([job], InProcess(), Lines([job]))
    assert attempt.path and attempt.path.parent == tmp_path / "noise"
    document = json.loads(attempt.path.read_text())
    assert document["quantizer"] == job.model.quant and document["layers"]
    assert [each.done for each in plan([job])] == [True]
    before = attempt.path.stat().st_mtime_ns
    carry_out([job], InProcess(), Lines([job]))
    assert attempt.path.stat().st_mtime_ns == before
