"""Models that no one here made: `make real-models` brings them, and without them these tests skip."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

REAL = REPOSITORY / "build/real"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gemma-3-270m", "smollm2-135m-instruct"])
def test_greedy_completions_are_those_of_transformers_and_lm_eval(name: str, data_dir: Path, tmp_path: Path) -> None:
    if not (REAL / name).is_dir():
        pytest.skip(f"needs {REAL / name}: `make real-models`")
    command = [sys.executable, "benchmarks/agreement.py", "--model", REAL / name, "--data-dir", data_dir]
    extent = ["--limit", "6", "--max-new-tokens", "60", "--output", tmp_path]
    done = subprocess.run([*command, *extent], cwd=REPOSITORY, capture_output=True, text=True, timeout=900)
    found = re.findall(r"^(.+): (\d) of 6 the same,\n    (\d) ties, (\d) different", done.stdout, re.MULTILINE)
    assert len(found) == 3, done.stdout + done.stderr
    assert all(int(different) == 0 for _, _, _, different in found), done.stdout
