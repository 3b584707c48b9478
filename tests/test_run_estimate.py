"""`run --dry-run`: what would be run and what it would take, by a real measurement, with nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qharness.models.decoding_trial import DecodingTrial, expected_tokens
from qharness.storage.benchmark_files import cache_dir
from tests.test_cli import Cli, in_process

__all__ = ["in_process"]


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*")) if folder.exists() else []


@pytest.fixture
def asked(random_llama: Path, tmp_path: Path) -> tuple[object, ...]:
    given = ("--task", "warmup-python", "--model", random_llama, "--quant", "rtn:4", "--samples", 2, "--limit", 3)
    return ("run", *given, "--max-new-tokens", 20, "--output", tmp_path / "runs")


def test_nothing_is_written_and_everything_is_measured(
    asked: tuple[object, ...], tmp_path: Path, in_process: Cli
) -> None:
    before = [files(cache_dir() / kind) for kind in ("quantized", "verdicts", "locks")]
    done = in_process(*asked, "--dry-run", "--json")
    document = json.loads(done.stdout)
    assert [(each["quant"], each["done"], each["completions"], each["found"]) for each in document["runs"]] == [
        ("none", False, 6, 0),
        ("rtn", False, 6, 0),
    ]
    for each in document["estimate"]["runs"]:
        assert each["completions"] == each["at_a_time"] == 6 and each["most_tokens"] == 20
        assert 0 < each["tokens"] <= 20 and 0 < each["seconds"] <= each["most_seconds"] < 600
        assert 0 < each["program_seconds"] < 600
    for each in document["estimate"]["models"]:
        assert each["memory_bytes"] > each["checkpoint_bytes"] > 0 and not each["is_cached"]
    assert not (tmp_path / "runs").exists()
    assert before == [files(cache_dir() / kind) for kind in ("quantized", "verdicts", "locks")]


def test_what_is_done_and_what_resumes(asked: tuple[object, ...], tmp_path: Path, in_process: Cli) -> None:
    in_process(*asked)
    (quantized,) = (tmp_path / "runs").glob("*--rtn--*")
    (quantized / "run.json").unlink()
    lines = (quantized / "journal.jsonl").read_text().splitlines(keepends=True)
    (quantized / "journal.jsonl").write_text("".join(lines[:4]))
    before = {path: path.read_bytes() for path in files(tmp_path) if path.is_file()}
    shown = in_process(*asked, "--dry-run")
    assert shown.stdout.startswith("Dry run, nothing is written: 1 of 2 runs are done, 1 to do, about "), shown.stderr
    assert "resumes: 4 of 6 completions are there" in shown.stdout and "done" in shown.stdout
    (left,) = json.loads(in_process(*asked, "--dry-run", "--json").stdout)["estimate"]["runs"]
    assert left["quant"] == "rtn" and left["completions"] == 2
    assert before == {path: path.read_bytes() for path in files(tmp_path) if path.is_file()}
    in_process(*asked)
    assert "2 of 2 runs are done, 0 to do." in in_process(*asked, "--dry-run").stdout


def test_a_mistake_is_one_line_before_anything_is_measured(asked: tuple[object, ...], in_process: Cli) -> None:
    for wrong in (("--quant", "rtn:99"), ("--model", "/no/such/model")):
        done = in_process(*asked, *wrong, "--dry-run")
        assert done.returncode == 2 and done.stdout == "" and done.stderr.splitlines()[-1].startswith("qharness: ")


def test_lengths_are_estimated_from_the_first_tokens() -> None:
    assert expected_tokens([5, 5, 5], seen=5, most=300) == 300
    assert expected_tokens([1, 1, 1], seen=5, most=300) == pytest.approx(1.0)
    half = expected_tokens([10] * 8 + [50] * 8, seen=50, most=1000)  # 8 ended in 480 tokens
    assert half == pytest.approx(60, rel=1e-6)
    assert expected_tokens([10] * 8 + [50] * 8, seen=50, most=60) == pytest.approx(60 * (1 - 2.718281828**-1), rel=1e-6)


def test_time_grows_with_batches() -> None:
    trial = DecodingTrial(size=10, prefill_s=0.5, step_s=0.1, tokens=20, most=40, row_bytes=1, seconds=1, answers=())
    assert trial.estimate(prompts=4, completions=5, tokens=20) == pytest.approx(4 * 0.5 + 20 * 0.1)
    assert trial.estimate(prompts=4, completions=30, tokens=20) == pytest.approx(4 * 0.5 + 3 * 20 * 0.1)
