"""Fused experts and GPT-2's Conv1D as Linears: the same logits, there and back; weights that are computed when read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from torch import nn
from transformers import initialization

from qharness import LazyWeight, ModelError, block_linears, replace_module
from qharness.models.conversion import from_linears, to_linears
from qharness.models.experts import SplitExperts
from qharness.models.loading import LoadedModel
from qharness.noise.noise_measurement import NoiseInputs, measure_noise
from qharness.plugins.aqlm.weight import AqlmLinear
from qharness.plugins.int8.linear import Int8Linear
from qharness.quantization.application import quantize, quantize_loaded
from qharness.registry import get_registry
from tests.aqlm_models import random_weight
from tests.asked import bound, sizes
from tests.test_cli import Cli, in_process, one_line
from tests.tiny_architectures import ARCHITECTURES, SPLIT, calibration, logits, make, saved
from tests.tiny_models import tokenizer

__all__ = ["in_process"]


def experts_of(model: nn.Module) -> list[SplitExperts]:
    return [module for module in model.modules() if isinstance(module, SplitExperts)]


@pytest.mark.parametrize("name", SPLIT)
def test_split_experts_say_what_fused_ones_say(name: str) -> None:
    model = make(name)
    before, state = logits(model), {key: value.clone() for key, value in model.state_dict().items()}
    to_linears(model)
    split = experts_of(model)
    assert split and len(split[0].experts) == 4
    assert torch.allclose(logits(model), before, rtol=1e-4, atol=1e-6)
    first = next(iter(split[0].experts[1].values()))
    assert first in block_linears(model).values()
    original = make(name).to("meta")
    assert from_linears(model, original) is None and not experts_of(model)
    assert {key: value.shape for key, value in model.state_dict().items()} == {k: v.shape for k, v in state.items()}
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert torch.equal(logits(model), before)
    to_linears(model)
    for each in experts_of(model):
        for linears in each.experts:
            next(iter(linears.values())).weight.zero_()  # and they are what is multiplied with
    assert not torch.allclose(logits(model), before, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("name", ["Llama", "Falcon", "Mamba", "Llama 4", "DBRX", "JetMoE"])
def test_what_is_in_no_such_form_stays_as_it_is(name: str) -> None:
    model = make(name)
    modules = [type(module) for module in model.modules()]
    to_linears(model)
    assert [type(module) for module in model.modules()] == modules


def test_a_padded_expert_index_contributes_nothing() -> None:
    model = make("Mixtral")
    to_linears(model)
    experts = experts_of(model)[0]
    x, weights = torch.randn(3, 32), torch.rand(3, 2)
    chosen = torch.tensor([[0, 1], [2, 4], [4, 4]])
    found = experts(x, chosen, weights)
    alone = experts(x[1:2], torch.tensor([[2, 2]]), weights[1:2] * torch.tensor([1.0, 0.0]))
    assert torch.allclose(found[1:2], alone, atol=1e-6) and found[1].any() and not found[2].any()


def test_gpt_2s_layers_are_linears_and_go_back() -> None:
    model = make("GPT-2")
    before = logits(model)
    to_linears(model)
    assert len(block_linears(model)) == 2 * 4
    assert torch.equal(logits(model), before)
    assert from_linears(model, make("GPT-2").to("meta")) is None
    assert torch.equal(logits(model), before)
    assert {type(module).__name__ for module in model.modules()} == {type(m).__name__ for m in make("GPT-2").modules()}


def test_a_router_that_is_a_linear_and_more_is_not_quantized() -> None:
    """Llama 4's returns scores and logits."""
    names = block_linears(make("Llama 4"))
    assert not any("router" in name for name in names) and any("shared_expert" in name for name in names)
    assert len(block_linears(make("Falcon"))) == 2 * 4  # a class of its own with a Linear's product
    with torch.device("meta"):
        empty = transformers.AutoModelForCausalLM.from_config(make("Llama 4").config)
    assert block_linears(empty).keys() == names.keys()


# ------------------------------------------------------------------------------------------------ with the quantizers


@pytest.mark.parametrize("name", ["Mixtral", "gpt-oss", "GPT-2"])
def test_footprint_counts_what_was_no_linear(name: str, tmp_path: Path) -> None:
    found = sizes(saved(name, tmp_path), "rtn:3")
    model = make(name)
    blocks = sum(each.numel() for key, each in model.named_parameters() if ".layers." in key or ".h." in key)
    assert 0.95 * blocks < found["quantized_weights"] < blocks
    full = sizes(tmp_path, "none")
    assert found["total_bytes"] == full["total_bytes"] and found["packed_total_bytes"] < full["total_bytes"] / 2


@pytest.mark.parametrize("name", ["Qwen3-MoE", "gpt-oss", "GPT-2"])
def test_rtn_is_written_in_transformers_own_form(in_process: Cli, name: str, tmp_path: Path) -> None:
    folder = saved(name, tmp_path / "full")
    done = in_process("quantize", "--model", folder, "--quant", "rtn:3,group=16", "--output", tmp_path / "q")
    assert done.returncode == 0, done.stderr
    loaded, info = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "q", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    quantized = quantize(LoadedModel(make(name), tokenizer(), name), "rtn:3,group=16")
    assert torch.allclose(logits(loaded.eval()), logits(quantized), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(logits(loaded), logits(make(name)), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(("name", "form"), [("Mixtral", "MixtralExperts"), ("GPT-2", "Conv1D")])
def test_a_form_that_transformers_does_not_load_is_not_written(
    in_process: Cli, name: str, form: str, tmp_path: Path
) -> None:
    folder = saved(name, tmp_path / "full")
    done = in_process("quantize", "--model", folder, "--quant", "int8-dynamic", "--output", tmp_path / "q")
    one_line(done, form, "qharness run")
    assert not (tmp_path / "q").exists()


@pytest.mark.parametrize("quant", ["int8-static", "aqlm:codebooks=1,nbits=3"])
def test_experts_that_no_token_reaches(quant: str) -> None:
    """Two tokens choose four of 8 experts at most."""
    log: list[str] = []
    config = make("Qwen3-MoE").config
    config.num_experts = config.num_local_experts = 8
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    loaded = LoadedModel(model, tokenizer(), "experts")
    quantize_loaded(loaded, get_registry().quantizer(quant), calibration=calibration(1, 2), log=log.append)
    assert logits(loaded.model).isfinite().all()
    said = "layers that saw only zeros or nothing are dynamic" if "int8" in quant else "no token reached them"
    assert any(said in line for line in log), log


@pytest.mark.parametrize("name", ["Mixtral", "GPT-2"])
def test_noise_is_measured_of_them(name: str, tmp_path: Path) -> None:
    folder = saved(name, tmp_path)
    (document,) = measure_noise(
        [bound(folder, "int8-dynamic", device="cpu")], NoiseInputs.of(None, "stdlib:n=1,seqlen=48")
    )
    assert len(document.layers) == len(block_linears(quantized_names(name)))
    assert all(0 < layer.weight_noise < 0.01 for layer in document.layers)


def quantized_names(name: str) -> nn.Module:
    model = make(name)
    to_linears(model)
    return model


# --------------------------------------------------------------------------------------------- weights that are read


def test_a_lazy_weight_is_computed_only_where_values_are_needed() -> None:
    base, calls = torch.randn(4, 3, requires_grad=True), []

    def compute() -> torch.Tensor:
        calls.append(1)
        return base * 2

    weight = LazyWeight(compute, (4, 3), torch.float32)
    assert isinstance(weight, torch.Tensor) and weight.dtype == torch.float32 and weight.shape == (4, 3)
    assert weight.device.type == "cpu" and weight.is_floating_point() and weight.numel() == 12 and len(weight) == 4
    assert not calls
    x = torch.randn(2, 3)
    assert torch.equal(nn.functional.linear(x, weight), x @ (base * 2).t()) and len(calls) == 1
    assert all(type(each) is torch.Tensor for each in (weight.t(), weight.float(), weight.detach(), weight @ x.t()))
    (weight @ x.t()).sum().backward()
    assert base.grad is not None and base.grad.abs().sum() > 0


def test_a_lazy_weight_is_not_initialised_while_a_checkpoint_loads() -> None:
    def compute() -> torch.Tensor:
        raise AssertionError

    weight = LazyWeight(compute, (4, 3), torch.float32)
    assert initialization.normal_(weight) is weight


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_quantized_linears_have_a_weight_to_multiply_with(dtype: torch.dtype) -> None:
    model = make("Llama").to(dtype)
    name, linear = next(iter(block_linears(model).items()))
    other = AqlmLinear(random_weight(32, 32, 2, 4, 8, torch.Generator().manual_seed(0), dtype))
    quantize(LoadedModel(model, tokenizer(), "llama"), "int8-dynamic:per-column")
    layer = model.get_submodule(name)
    assert (
        isinstance(layer, Int8Linear)
        and layer.weight.dtype == dtype
        and layer.to(torch.float64).weight.dtype == torch.float64
    )
    assert (layer.weight - linear.weight).abs().max() < 0.02
    x = torch.randn(5, 32, dtype=dtype)
    assert torch.equal(nn.functional.linear(x, other.weight), other(x)) and other.weight.shape == (32, 32)


@pytest.mark.parametrize("name", ["Mamba", "Falcon-Mamba", "Jamba", "T5"])
@pytest.mark.parametrize(
    "quant", ["int8-dynamic", "int8-static", pytest.param("aqlm:codebooks=2,nbits=6", marks=pytest.mark.long)]
)
def test_models_that_read_a_linears_weight(name: str, quant: str) -> None:
    """The same as a plain model with the dequantized weight in those layers."""
    loaded = LoadedModel(make(name), tokenizer(), name)
    quantize_loaded(loaded, get_registry().quantizer(quant), calibration=calibration(2, 16))
    found = logits(loaded.model)
    assert found.isfinite().all()
    for key, module in list(loaded.model.named_modules()):
        if key.endswith(("dt_proj", "wo")):
            assert isinstance(module, Int8Linear | AqlmLinear)
            if key.endswith("dt_proj"):
                plain = nn.Linear(module.in_features, module.out_features)
                plain.weight = nn.Parameter(module.dequantized_weight())
                plain.bias = nn.Parameter(module.bias)
                replace_module(loaded.model, key, plain)
    assert torch.allclose(logits(loaded.model), found, rtol=1e-4, atol=1e-5)


def test_every_architecture_can_be_made() -> None:
    assert len(ARCHITECTURES) >= 25 and set(SPLIT) <= set(ARCHITECTURES)


def test_an_unknown_form_is_refused_before_any_work() -> None:
    log: list[str] = []
    with pytest.raises(
        ModelError, match=r"aqlm quantizes too little of this model: \d\d% .*experts.*--allow-untouched"
    ):
        quantize_loaded(
            LoadedModel(make("Llama 4"), tokenizer(), "x"),
            get_registry().quantizer("aqlm:2"),
            calibration=calibration(1, 8),
            log=log.append,
        )
    assert not log
