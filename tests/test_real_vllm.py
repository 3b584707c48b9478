"""`--backend vllm` on a real vLLM, in the environment that `make vllm` makes (or QHARNESS_VLLM names)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from qharness import RunSpec, compare, run
from tests.conftest import REPOSITORY

VLLM = Path(os.environ.get("QHARNESS_VLLM", REPOSITORY / "build/vllm"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (VLLM / "bin/qharness").exists(), reason="`make vllm` makes its environment"),
]


def real_vllm(output: Path, *options: str) -> dict[str, Any]:
    """A finished run's document, of vLLM in its own environment."""
    command = [str(VLLM / "bin/qharness"), "run", "--backend", "vllm", "--output", str(output), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def completions(folder: Path) -> list[str]:
    return [json.loads(line)["completion"] for line in (folder / "samples.jsonl").read_text().splitlines()]


def only_run(output: Path) -> Path:
    (found,) = [path.parent for path in output.glob("*/run.json")]
    return found


def test_greedy_completions_are_those_of_hf(tmp_path: Path) -> None:
    real_vllm(tmp_path / "theirs", "--task", "tiny-python", "--limit", "20", "--samples", "1", "--temperature", "0")
    ours = run(RunSpec("tiny-python", limit=20, samples=1, temperature=0.0, output=tmp_path / "ours"))
    theirs = only_run(tmp_path / "theirs")
    assert completions(theirs) == completions(ours.folder)
    assert not compare(ours.folder, theirs).coupled


def test_samples_with_a_seed_each_are_drawn_and_repeat(tmp_path: Path) -> None:
    options = ("--task", "tiny-python", "--limit", "3", "--samples", "4", "--temperature", "0.8")
    for name in ("first", "again"):
        assert real_vllm(tmp_path / name, *options)["coupled"] is False
    first, again = (completions(only_run(tmp_path / name)) for name in ("first", "again"))
    assert first == again and len(set(first)) > 3
