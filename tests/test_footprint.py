"""Sizes from a configuration alone, against the second paper's table 4 and against files that are really written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from qharness import ModelError
from qharness.models.loading import LoadedModel
from qharness.models.weight_footprint import resident_bytes
from qharness.plugins.aqlm import Aqlm
from qharness.plugins.aqlm.bit_allocation import Shape
from qharness.quantization.application import quantize
from tests.aqlm_models import tiny, with_random_codes
from tests.asked import sizes
from tests.tiny_models import tokenizer

# The published configurations, as far as they decide sizes.
_LLAMA_7B = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "tie_word_embeddings": False, "dtype": "float16",
}  # fmt: skip
CONFIGS = {
    "CodeLlama-7B": {**_LLAMA_7B, "vocab_size": 32016},
    "DeepSeek-Coder-6.7B": {**_LLAMA_7B, "vocab_size": 32256},
}
# Table 4 of Giagnorio et al. 2025, in GB.
PAPER = [
    ("CodeLlama-7B", {"none": 13.48, "aqlm:8": 7.47, "aqlm:4": 4.00, "aqlm:3": 3.80, "aqlm:2": 2.26}),
    ("DeepSeek-Coder-6.7B", {"none": 13.48, "aqlm:8": 7.48, "aqlm:4": 4.00, "aqlm:3": 3.80, "aqlm:2": 2.27}),
]


def config_only(folder: Path, name: str) -> str:
    folder = folder / name
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIGS[name]))
    return str(folder)


@pytest.mark.parametrize(("model", "gigabytes"), PAPER)
def test_the_papers_sizes(model: str, gigabytes: dict[str, float], tmp_path: Path) -> None:
    folder = config_only(tmp_path, model)
    for quant, size in gigabytes.items():
        assert round(sizes(folder, quant)["total_bytes"] / 1e9, 2) == size, quant


def test_the_papers_bits_and_a_packed_3_bit_model(tmp_path: Path) -> None:
    folder = config_only(tmp_path, "CodeLlama-7B")
    two, three = sizes(folder, "aqlm:2"), sizes(folder, "aqlm:3")
    assert two["bits_per_param"]["nominal"] == 15 / 8 and round(two["bits_per_param"]["packed"], 2) == 2.02
    assert three["bits_per_param"]["nominal"] == 3 and round(three["packed_total_bytes"] / 1e9, 2) == 2.99
    assert three["bits_per_param"]["stored"] > 4 > three["bits_per_param"]["packed"] > 3
    assert two["quantized_weights"] == 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    assert sizes(folder, "none", "float32")["total_bytes"] == 2 * sizes(folder, "none")["total_bytes"]


@pytest.mark.parametrize(
    "quant", ["none", "rtn:3,group=48", "int8-dynamic", "int8-dynamic:per-column", "aqlm:3", "ternary"]
)
def test_parts_add_up_for_every_quantizer(quant: str, tmp_path: Path) -> None:
    found = sizes(config_only(tmp_path, "CodeLlama-7B"), quant)
    parts = ("codes", "codebooks", "scales", "unquantized")
    assert found["total_bytes"] == sum(found[f"{part}_bytes"] for part in parts)
    assert 0 < found["packed_total_bytes"] <= found["total_bytes"]
    stored = sum(found[f"{part}_bytes"] for part in parts[:3])
    bits = found["bits_per_param"]
    assert bits["stored"] == pytest.approx(8 * stored / found["quantized_weights"])
    assert bits["nominal"] <= bits["packed"] <= bits["stored"]


@pytest.mark.parametrize("architecture", ["llama", "codegen", "qwen2", "t5", "plbart", "gpt_bigcode"])
@pytest.mark.parametrize(("books", "bits"), [(2, 8), (1, 11)])
def test_what_is_written_takes_what_was_said(architecture: str, books: int, bits: int, tmp_path: Path) -> None:
    model = with_random_codes(tiny(architecture, torch.float32, tmp_path / "base"), books, bits, 8)
    quant = f"aqlm:codebooks={books},nbits={bits}"
    said = sizes(str(tmp_path / "base"), quant)
    for packed, total in ((False, said["total_bytes"]), (True, said["packed_total_bytes"])):
        folder = tmp_path / f"packed-{packed}"
        Aqlm(codebooks=books, nbits=bits, packed=packed).save(model, folder)
        tensors = load_file(folder / "model.safetensors")
        kept = [tensor for name, tensor in tensors.items() if not name.endswith("codes_shape")]
        assert sum(tensor.nbytes for tensor in kept) == total
    assert sizes(str(tmp_path / "base"), "none")["total_bytes"] == sum(
        tensor.nbytes for tensor in load_file(tmp_path / "base/model.safetensors").values()
    )


@pytest.mark.parametrize("quant", ["int8-dynamic", "int8-dynamic:per-column"])
def test_int8_takes_what_was_said(quant: str, tmp_path: Path) -> None:
    model = tiny("llama", torch.float32, tmp_path)
    rotary = sum(buffer.nbytes for buffer in model.buffers())
    quantized = quantize(LoadedModel(model, tokenizer(), "llama"), quant)
    assert sizes(str(tmp_path), quant)["total_bytes"] == resident_bytes(quantized) - rotary


def test_packed_bits_are_the_average_that_widths_are_chosen_by() -> None:
    shape, layers = Shape(2, 11, 8), {"a": (64, 128), "b": (256, 64)}
    found = Aqlm(codebooks=2, nbits=11).weight_bytes(layers, 2)
    assert 8 * found.packed / found.weights == pytest.approx(shape.average_bits(list(layers.values())))


def test_layers_that_are_left_out_are_not_counted_as_quantized(tmp_path: Path) -> None:
    tiny("llama", torch.float32, tmp_path)
    every = sizes(str(tmp_path), "aqlm:codebooks=1,nbits=4,group=32")
    some = sizes(str(tmp_path), "aqlm:codebooks=1,nbits=4,group=64,skip_indivisible=true")
    assert every["quantized_weights"] - some["quantized_weights"] == 2 * (4 * 32 * 32 + 2 * 32 * 64)
    with pytest.raises(ModelError, match=r"q_proj is 32 wide, .* groups of 64"):
        sizes(str(tmp_path), "aqlm:codebooks=1,nbits=4,group=64")


def test_a_model_that_is_quantized_already(tmp_path: Path) -> None:
    model = with_random_codes(tiny("llama", torch.float32, tmp_path / "base"), 1, 4, 8)
    Aqlm(2).save(model, tmp_path / "done")
    with pytest.raises(ModelError, match=r"already quantized \(aqlm\)"):
        sizes(str(tmp_path / "done"), "none")


def test_tensors_made_of_others_count_as_what_they_are_made_of() -> None:
    """As torchao's are."""
    from torch.testing._internal.two_tensor import TwoTensor

    module = torch.nn.Module()
    for name in ("a", "b"):
        module.register_buffer(name, TwoTensor(torch.zeros(10), torch.zeros(10)))
    assert resident_bytes(module) == 2 * 2 * 10 * 4
