"""AQLM on a model that stays on disk: what it takes in memory besides, and blocks on another device."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers

from qharness import Calibration, QuantizationContext
from qharness.plugins.aqlm import Aqlm
from tests.tiny_models import make_model, tokenizer

_QUANTIZE = """
import json, sys
from pathlib import Path
import torch
from qharness import Calibration
from qharness.models.loading import load_model
from qharness.quantization.application import quantize_loaded
from qharness.registry import get_registry

def held():  # bytes that are the process's own: not those of mapped files
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) * 1024

load_model("tinycoder", "cpu")
before = held()
loaded = load_model(sys.argv[1], "cpu", "bfloat16", parent="tinycoder", placed=False)
tokens = torch.randint(4, 90, (4, 48), generator=torch.Generator().manual_seed(0))
quantizer = get_registry().quantizer("aqlm:codebooks=1,nbits=4,finetune=" + sys.argv[2])
more = []
calibration = Calibration(list(tokens), {"drawn": 4})
quantize_loaded(loaded, quantizer, calibration=calibration, log=lambda line: more.append(held() - before))
print(json.dumps(more))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("finetune", ["none", "block"])
def test_a_model_on_disk_is_quantized_a_block_at_a_time(finetune: str, tmp_path: Path) -> None:
    """From block to block memory grows by codes only: neither the weights nor what is done with them stays."""
    config = transformers.LlamaConfig(
        hidden_size=256, intermediate_size=768, num_hidden_layers=12, num_attention_heads=8, vocab_size=100
    )
    model = transformers.LlamaForCausalLM(config).bfloat16()
    size = sum(parameter.numel() for parameter in model.parameters()) * 2
    model.save_pretrained(tmp_path / "model")
    del model
    done = subprocess.run(
        [sys.executable, "-c", _QUANTIZE, str(tmp_path / "model"), finetune],
        env={
            "QHARNESS_CACHE_DIR": str(tmp_path / "cache"),
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "MALLOC_MMAP_THRESHOLD_": "65536",  # what is freed is given back, and does not count
        },
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    started, *after = json.loads(done.stdout)
    assert len(after) == config.num_hidden_layers
    assert started < size / 10
    assert after[-1] - after[0] < size / 4  # the first block also warms threads and kernels


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_blocks_are_quantized_on_another_device(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path))
    tokens = torch.randint(4, 90, (8, 16), generator=torch.Generator().manual_seed(0))
    context = QuantizationContext(tokenizer(), 0, Calibration(list(tokens), {"drawn": 8}), device=torch.device("cuda"))
    with torch.no_grad():
        model = Aqlm(codebooks=2, nbits=6, finetune="e2e").quantize(make_model(architecture), context)
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"cpu"}
