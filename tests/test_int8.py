from __future__ import annotations

import pytest
import torch
from torch import nn

from qharness import ModelError, QuantizationContext, block_linears, head_linear
from qharness.models.blocks import find_blocks
from qharness.models.loading import LoadedModel
from qharness.models.weight_footprint import resident_bytes
from qharness.plugins.int8.integer_grid import WeightGrid
from qharness.plugins.int8.linear import Int8Linear
from qharness.quantization.application import quantize, quantize_loaded
from qharness.registry import get_registry
from tests.tiny_models import CONFIGS, make_model, tokenizer

SPECS = ["int8-dynamic", "int8-dynamic:per-column", "int8-dynamic:activations=tensor", "int8-dynamic:per-column,tensor"]


def logits_of(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    extra = {"decoder_input_ids": ids[:, :5]} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(input_ids=ids, **extra).logits


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_block_linear_is_replaced_and_little_changes(architecture: str, spec: str) -> None:
    model = make_model(architecture)
    names = set(block_linears(model))
    ids = torch.randint(4, 200, (3, 9), generator=torch.Generator().manual_seed(0))
    before, size = logits_of(model, ids), resident_bytes(model)
    names |= set(head_linear(model))
    quantized = quantize(LoadedModel(model, tokenizer(), architecture), spec)
    left = {name for name, module in quantized.named_modules() if type(module) is nn.Linear}
    assert names and not names & left
    assert resident_bytes(quantized) < size
    after = logits_of(quantized, ids)
    assert torch.isfinite(after).all()
    assert (after - before).norm() / before.norm() < 0.05
    generated = quantized.generate(ids, max_new_tokens=4, do_sample=False, pad_token_id=0)
    assert generated.shape[0] == 3


def test_blocks_are_attention_and_feed_forward_only() -> None:
    assert list(find_blocks(make_model("llama"))) == ["model.layers.0", "model.layers.1"]
    assert len(find_blocks(make_model("t5"))) == 4
    assert len(block_linears(make_model("codegen"))) == 2 * 4


def test_rows_do_not_depend_on_each_other() -> None:
    layer = nn.Linear(48, 40)
    quantized = Int8Linear.from_linear(layer, WeightGrid(per_column=True))
    x = torch.randn(5, 48)
    alone = torch.cat([quantized(row[None]) for row in x])
    assert torch.equal(quantized(x), alone)
    assert torch.equal(quantized(torch.cat([x, *(100 * x for _ in range(40))]))[:5], alone)


def test_torchs_own_depends_on_the_batch() -> None:
    model = make_model("llama")
    quantized = quantize(LoadedModel(model, tokenizer(), "llama"), "int8-dynamic:activations=tensor")
    layer = quantized.get_submodule("model.layers.0.self_attn.q_proj")
    x = torch.randn(2, 32)
    assert not torch.allclose(layer(torch.cat([x, 5 * x]))[:2], layer(x), rtol=1e-4)
    registry = get_registry()
    assert registry.quantizer("int8-dynamic:activations=tensor").batch_dependent
    assert not registry.quantizer("int8-dynamic").batch_dependent


def test_rounding_error_is_at_most_half_a_step() -> None:
    x = torch.randn(7, 33) * torch.logspace(-3, 3, 7)[:, None]
    q, scale = WeightGrid(per_column=True).quantize(x)
    assert q.dtype == torch.int8
    assert ((q * scale[:, None] - x).abs() <= 0.5001 * scale[:, None]).all()
    zero, step = WeightGrid(per_column=True).quantize(torch.zeros(1, 4))
    assert not zero.any() and step == 1


def test_integers_on_the_grid_are_exact() -> None:
    x = torch.randint(-127, 128, (6, 64)).float()
    x[:, 0] = 127
    layer = nn.Linear(64, 8)
    layer.weight.data = torch.randint(-127, 128, (8, 64)).float()
    layer.weight.data[:, 0] = 127
    quantized = Int8Linear.from_linear(layer, WeightGrid(per_column=True))
    assert torch.equal(quantized(x), (x.double() @ layer.weight.double().t()).float() + layer.bias)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_keeps_the_dtype(dtype: torch.dtype) -> None:
    layer = nn.Linear(16, 8).to(dtype)
    y = Int8Linear.from_linear(layer, WeightGrid(per_column=False))(torch.randn(2, 3, 16, dtype=dtype))
    assert y.dtype == dtype and y.shape == (2, 3, 8)


def test_torchs_own_needs_float32() -> None:
    model = make_model("llama").to(torch.bfloat16)
    with pytest.raises(ModelError, match="--device cpu --dtype float32"):
        quantize(LoadedModel(model, tokenizer(), "llama"), "int8-dynamic:activations=tensor")


def test_per_column_is_closer_than_per_tensor() -> None:
    layer = nn.Linear(64, 64)
    layer.weight.data *= torch.logspace(-2, 1, 64)[:, None]
    x = torch.randn(20, 64)
    error = {
        per_column: (Int8Linear.from_linear(layer, WeightGrid(per_column))(x) - layer(x)).norm()
        for per_column in (False, True)
    }
    assert error[True] < error[False]


def test_none_is_the_model_itself() -> None:
    loaded = LoadedModel(make_model("llama"), tokenizer(), "llama")
    model = loaded.model
    quantize_loaded(loaded, get_registry().quantizer("none"))
    assert loaded.model is model
    assert QuantizationContext(loaded.tokenizer, 0).calibration is None
