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


@pytest.mark.slow
def test_profiles_are_reckoned_by_the_instance_that_a_study_names(random_llama: Path, tmp_path: Path) -> None:
    text = f'models = ["{random_llama}"]\nmeasure = ["profile", "noise"]\ndtype = "float32"\ndevice = "cpu"\n'
    plain, named = (read_study(write(tmp_path, text + more)) for more in ("", 'instance = "c5.2xlarge"\n'))
    assert plain.settings.instance is None and named.settings.instance == "c5.2xlarge"
    jobs = [
        Job(Measurement(study.measurements()[0][1], tmp_path, study.settings.instance), "profile")
        for study in (plain, named)
    ]
    without, by_instance = (each.path for each in carry_out(jobs, InProcess(), Lines(jobs)))
    assert without and by_instance and without != by_instance
    dollars = [json.loads(each.read_text())["usd_per_1k"] for each in (without, by_instance)]
    seconds = json.loads(by_instance.read_text())["latency_s"]["median"]
    assert dollars == [None, pytest.approx(1000 * seconds / 3600 * 0.34)]
    with pytest.raises(
        StudyError, match=r"study.toml: instance: unknown instance 'c5.2xlrge': did you mean c5.2xlarge"
    ):
        read_study(write(tmp_path, text + 'instance = "c5.2xlrge"\n'))
    with pytest.raises(StudyError, match="instance is for profiles: add measure"):
        read_study(write(tmp_path, 'tasks = ["tiny-python"]\ninstance = "c5.2xlarge"\n'))


def test_an_instance_of_a_file_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text("[laptop]\nwatts = 35\n")
    monkeypatch.setenv("QHARNESS_INSTANCES", str(tmp_path / "mine.toml"))
    study = read_study(write(tmp_path, 'measure = ["profile"]\ninstance = "laptop"\n'))
    assert study.settings.instance == "laptop"


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
