"""AQLM checkpoints: what is written gives the same logits wherever it is loaded, packed or plain."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from qharness import ModelError, RunSpec, run
from qharness.models.loading import load_model
from qharness.plugins.aqlm import Aqlm
from qharness.plugins.aqlm.aqlm_checkpoint import AqlmCheckpoint, repaired
from qharness.plugins.aqlm.weight import AqlmLinear
from qharness.quantization.application import quantize
from qharness.quantization.checkpoint_export import unpack_checkpoint
from tests.aqlm_models import densely, logits, tiny, with_random_codes
from tests.tiny_models import save_model, tokenizer

FLOATS = (torch.float32, torch.bfloat16, torch.float16)
CASES = [
    *(("llama", 2, 7, dtype) for dtype in FLOATS),
    ("codegen", 1, 12, torch.float32),
    ("gpt_bigcode", 2, 4, torch.bfloat16),
    ("qwen2", 3, 5, torch.float16),
    ("plbart", 1, 9, torch.float32),
    *(("t5", 2, 3, dtype) for dtype in FLOATS),
    *((name, 2, 6, torch.float32) for name in ("xglm", "gemma3", "starcoder2", "gpt_neox", "opt")),
]

NOT_STOCK = ("gpt_bigcode", "t5")
"""Those that the package's Linears do not work in: they ask a Linear for its weight, which these lack."""


def model_of(folder: Path) -> transformers.PreTrainedModel:
    """What `from_pretrained` makes of a folder, which must hold all of it."""
    pairs = transformers.AutoConfig.from_pretrained(folder).is_encoder_decoder
    kind = transformers.AutoModelForSeq2SeqLM if pairs else transformers.AutoModelForCausalLM
    model, found = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(found.values()), found
    return model.eval()


@pytest.mark.parametrize(("architecture", "books", "bits", "dtype"), CASES)
def test_logits_are_the_dequantized_models(
    architecture: str, books: int, bits: int, dtype: torch.dtype, tmp_path: Path
) -> None:
    made = tiny(architecture, dtype, tmp_path / "base")
    model = with_random_codes(made, books, bits, 8)
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    for folder in (plain, packed):
        Aqlm(3, packed=folder is packed).save(model, folder)
        tokenizer().save_pretrained(folder)
    assert getattr(model.config, "quantization_config", None) is None
    expected = logits(densely(model))
    if architecture in NOT_STOCK:
        with pytest.raises(AttributeError, match="'QuantizedLinear' object has no attribute 'weight'"):
            logits(model_of(plain))
    else:
        assert torch.equal(logits(model_of(plain)), expected)
    for folder in (plain, packed):
        loaded = load_model(str(folder), "cpu", str(dtype).removeprefix("torch.")).model
        assert sum(isinstance(module, AqlmLinear) for module in loaded.modules()) >= 8
        assert torch.equal(logits(loaded), expected)


def test_codebooks_of_8_bits_run_in_the_packages_kernel_with_one_thread(tmp_path: Path) -> None:
    import numba

    model = with_random_codes(tiny("llama", torch.float32, tmp_path / "base"), 2, 8, 8)
    Aqlm(3).save(model, tmp_path / "plain")
    torchs, threads = (
        torch.get_num_threads(),
        numba.get_num_threads(),
    )  # which gives PyTorch as many threads as numba has
    torch.set_num_threads(torchs)
    numba.set_num_threads(1)
    try:
        theirs = logits(model_of(tmp_path / "plain"))
    finally:
        numba.set_num_threads(threads)
    assert torch.allclose(theirs, logits(densely(model)), atol=1e-5)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def test_packed_is_smaller_and_unpacks_to_what_was_plain(tmp_path: Path) -> None:
    model = with_random_codes(tiny("llama", torch.float32, tmp_path / "base"), 3, 9, 4)
    plain, packed, again = tmp_path / "plain", tmp_path / "packed", tmp_path / "again"
    AqlmCheckpoint().save(model, plain)
    AqlmCheckpoint().save(model, packed, packed=True)
    codes = sum(module.codes.numel() for module in model.modules() if isinstance(module, AqlmLinear))
    assert size(plain) - size(packed) == pytest.approx(codes * (16 - 9) / 8, rel=0.2)  # and the file's header
    with pytest.raises(RuntimeError, match="mismatch"):
        transformers.AutoModelForCausalLM.from_pretrained(packed)
    unpack_checkpoint(packed, again)
    before, after = load_file(plain / "model.safetensors"), load_file(again / "model.safetensors")
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert json.loads((again / "config.json").read_text()) == json.loads((plain / "config.json").read_text())
    with pytest.raises(ModelError, match="is not packed"):
        unpack_checkpoint(plain, tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qharness.plugins.aqlm.aqlm_checkpoint._SHARD_SIZE", "20KB")
    model = with_random_codes(tiny("llama", torch.float32, tmp_path / "base"), 2, 6, 8)
    AqlmCheckpoint().save(model, tmp_path / "packed", packed=True)
    assert len(list((tmp_path / "packed").glob("*.safetensors"))) > 2
    unpack_checkpoint(tmp_path / "packed", tmp_path / "plain")
    tokenizer().save_pretrained(tmp_path / "packed")
    expected = logits(model)
    assert torch.equal(logits(model_of(tmp_path / "plain")), expected)
    assert torch.equal(logits(load_model(str(tmp_path / "packed"), "cpu").model), expected)


def in_the_converters_way(folder: Path, model: transformers.PreTrainedModel) -> None:
    """As AQLM's convert_to_hf.py writes: parameters' names in the configuration, and no tokenizer."""
    AqlmCheckpoint().save(model, folder)
    coded = ("codes", "codebooks", "scales")
    names = [name for name in model.state_dict() if not name.endswith(coded)]
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"]["linear_weights_not_to_quantize"] = names
    (folder / "config.json").write_text(json.dumps(config))


def test_the_converters_names_are_put_right(tmp_path: Path) -> None:
    model = with_random_codes(tiny("llama_with_biases", torch.float32, tmp_path / "base"), 2, 8, 8)
    in_the_converters_way(tmp_path / "converted", model)
    listed = json.loads((tmp_path / "converted/config.json").read_text())["quantization_config"]
    assert {"lm_head.weight", "model.layers.0.self_attn.q_proj.bias"} <= set(listed["linear_weights_not_to_quantize"])
    tokenizer().save_pretrained(tmp_path / "converted")
    assert torch.equal(logits(load_model(str(tmp_path / "converted"), "cpu").model), logits(model))
    assert "lm_head" in repaired(listed)["linear_weights_not_to_quantize"]
    assert repaired(repaired(listed)) == repaired(listed)


def test_a_run_with_the_parent_as_baseline_and_its_tokenizer(tmp_path: Path) -> None:
    parent = save_model("llama", tmp_path / "parent")
    model = transformers.AutoModelForCausalLM.from_pretrained(parent)
    in_the_converters_way(tmp_path / "converted", with_random_codes(model, 2, 8, 8))
    spec = RunSpec(
        task="warmup-python", model=str(tmp_path / "converted"), baseline=str(parent), samples=1, limit=2,
        max_new_tokens=8, device="cpu", output=tmp_path / "runs",
    )  # fmt: skip
    document = run(spec).document
    assert document["baseline"]["n_problems"] == 2
    assert document["hosting"]["layers"] == {"dense": 14}
    assert 0 < document["hosting"]["weight_bytes"] < document["hosting"]["resident_bytes"]
    assert any("14" in note for note in document["notes"])
    with pytest.raises(ModelError, match="tokenizer"):
        load_model(str(tmp_path / "converted"), "cpu")


def test_what_cannot_be_loaded_or_written(tmp_path: Path) -> None:
    model = with_random_codes(tiny("llama", torch.float32, tmp_path / "base"), 1, 4, 8)
    folder = tmp_path / "short"
    AqlmCheckpoint().save(model, folder)
    tokenizer().save_pretrained(folder)
    with pytest.raises(ModelError, match="already quantized"):
        quantize(load_model(str(folder), "cpu"), "rtn:3")
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.scales"], tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"its checkpoint has no lm_head.weight and 1 more"):
        load_model(str(folder), "cpu")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"]["out_group_size"] = 2
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="out_group_size of 2"):
        load_model(str(folder), "cpu")
    config["quantization_config"]["quant_method"] = "no-such-method"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="no-such-method"):
        load_model(str(folder), "cpu")
    with pytest.raises(ModelError, match="this model's are: none"):
        AqlmCheckpoint().save(tiny("llama", torch.float32, tmp_path / "base"), tmp_path / "none")


def test_neither_aqlm_nor_numba_is_needed_to_run_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from qharness.models.checkpoint_formats import select_kernels

    model = with_random_codes(tiny("llama", torch.float32, tmp_path / "base"), 2, 8, 8)
    AqlmCheckpoint().save(model, tmp_path / "q")
    tokenizer().save_pretrained(tmp_path / "q")
    for package in ("aqlm", "numba"):
        monkeypatch.setitem(sys.modules, package, None)
    loaded = load_model(str(tmp_path / "q"), "cpu").model
    select_kernels(loaded)
    assert torch.allclose(logits(loaded), logits(model), atol=1e-5)
