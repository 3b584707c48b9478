"""Other libraries' quantizers; those that are not installed are skipped, torchao is there."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest
import torch
import transformers

from qharness import MissingDependencyError, ModelError, UnknownNameError
from qharness.models.loading import LoadedModel, load_model
from qharness.models.weight_footprint import resident_bytes
from qharness.plugins.hf import SCHEMES, TORCHAO
from qharness.quantization.application import quantize
from qharness.quantization.checkpoint_export import export_checkpoint
from qharness.registry import get_registry
from tests.aqlm_models import logits
from tests.asked import bound
from tests.tiny_models import make_model, tokenizer

# The least and the most that the logits change by: a scheme of 4 bits that changes them as little as 8 do is of 8.
RUNS_HERE = {"int8wo": (0.005, 0.03), "int8dq": (0.02, 0.06), "int8dq-int4w": (0.1, 0.4), "float8wo": (0.02, 0.06)}


def installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@pytest.mark.parametrize("scheme", RUNS_HERE)
def test_torchao(scheme: str, tmp_path: Path) -> None:
    pytest.importorskip("torchao")
    loaded = load_model("tinycoder", "cpu", "float32")
    before, size = logits(loaded.model), resident_bytes(loaded.model)
    model = quantize(loaded, f"torchao:{scheme}")
    after = logits(model)
    least, most = RUNS_HERE[scheme]
    assert least < (after - before).norm() / before.norm() < most
    assert resident_bytes(model) < 0.45 * size
    get_registry().quantizer(f"torchao:{scheme}").save(model, tmp_path)
    loaded.tokenizer.save_pretrained(tmp_path)
    assert torch.equal(logits(load_model(str(tmp_path), "cpu", "float32").model), after)


@pytest.mark.parametrize("scheme", ["bnb-nf4", "bnb-int8", "hqq-8", "hqq-4", "quanto-int8", "quanto-int4"])
def test_hf(scheme: str, tmp_path: Path) -> None:
    loaded = load_model("tinycoder", "cpu", "float32")
    if not installed(SCHEMES[scheme].package):
        with pytest.raises(MissingDependencyError, match=rf"{SCHEMES[scheme].package} is needed: .*qharness\[hf\]"):
            quantize(loaded, f"hf:{scheme}")
        return
    before, size = logits(loaded.model), resident_bytes(loaded.model)
    model = quantize(loaded, f"hf:{scheme}")
    with torch.inference_mode():  # as generation does
        assert 0 < (logits(model) - before).norm() / before.norm() < 0.4
    assert resident_bytes(model) < 0.45 * size
    if not SCHEMES[scheme].saved:
        with pytest.raises(ModelError, match="no checkpoint form"):
            get_registry().quantizer(f"hf:{scheme}").save(model, tmp_path)


@pytest.mark.parametrize("spec", ["torchao:int8dq", "torchao:int8dq-int4w", "hf:bnb-nf4", "hf:bnb-int8"])
def test_exported_as_a_user_does_it(spec: str, tmp_path: Path) -> None:
    """The bundled model is of half precision and computes in float32, which these libraries' layers do not change."""
    scheme = {**SCHEMES, **TORCHAO}[spec.partition(":")[2]]
    if not installed(scheme.package):
        pytest.skip(f"{scheme.package} is not installed")
    written = export_checkpoint(bound("tinycoder", spec, device="cpu"), tmp_path / "q")
    assert str(written.readers) == f"transformers with {scheme.package}"
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "q", dtype="auto").eval()
    assert torch.equal(logits(model), logits(quantize("tinycoder", spec)))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(MissingDependencyError, match=r"torchao is needed: pip install 'qharness\[torchao\]'"):
        quantize(LoadedModel(make_model("llama"), tokenizer(), "llama"), "torchao:int8wo")


def test_mistakes() -> None:
    with pytest.raises(UnknownNameError, match="unknown torchao scheme 'int4w': did you mean int4wo"):
        get_registry().quantizer("torchao:int4w")
    pytest.importorskip("torchao")
    with pytest.raises(ModelError, match="made in memory"):
        quantize(LoadedModel(make_model("llama"), tokenizer(), "llama"), "torchao:int8wo")
    with pytest.raises(ModelError, match="int4wo needs --device cuda --dtype bfloat16"):
        quantize("tinycoder", "torchao:int4wo")


def test_which_look_at_the_whole_batch() -> None:
    registry = get_registry()
    assert registry.quantizer("hf:bnb-int8").batch_dependent
    assert not any(registry.quantizer(f"torchao:{name}").batch_dependent for name in TORCHAO)
