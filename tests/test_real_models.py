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


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_transformers_says_of_an_aqlm_checkpoint_what_qharness_says(bits: int, tmp_path: Path) -> None:
    """Logits of SmolLM2's checkpoint, loaded by transformers with the package `aqlm` and by qharness, in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    from qharness.models.loading import load_model
    from qharness.quantization.checkpoint_export import export_checkpoint
    from tests.aqlm_models import logits
    from tests.asked import bound

    model = REAL / "smollm2-135m-instruct"
    if not model.is_dir():
        pytest.skip(f"needs {model}: `make real-models`")
    pytest.importorskip("aqlm")
    asked = bound(str(model), f"aqlm:{bits},finetune=none", calib="stdlib:n=4,seqlen=128", device="cpu")
    export_checkpoint(asked, tmp_path / "quantized")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "quantized", dtype=torch.float32).eval()
    ours = load_model(str(tmp_path / "quantized"), "cpu", "float32").model
    assert torch.allclose(logits(theirs), logits(ours), atol=1e-3, rtol=1e-4)
