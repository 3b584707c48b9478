"""Static int8 on whole models: ranges, products, checkpoints."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from qharness import Calibration, ModelError, QuantizedLinear, SpecError
from qharness.models.blocks import block_linears
from qharness.models.checkpoint_formats import select_kernels
from qharness.models.loading import LoadedModel, load_model
from qharness.models.weight_footprint import resident_bytes
from qharness.plugins.int8 import int8_checkpoint, products
from qharness.plugins.int8.int8_options import linear_names
from qharness.plugins.int8.integer_grid import WeightGrid
from qharness.plugins.int8.linear import Int8Linear
from qharness.plugins.int8.observing import observe
from qharness.quantization.application import quantize_loaded
from qharness.quantization.checkpoint_export import export_checkpoint
from qharness.registry import get_registry
from tests.aqlm_models import logits, tiny
from tests.asked import bound, sizes
from tests.tiny_models import CONFIGS, VOCABULARY, make_model, save_model, tokenizer

SPECS = [
    "int8-static",
    "int8-static:per-column",
    "int8-static:per-column,entropy",
    "int8-static:per-tensor,percentile,max",
]


def calibration() -> Calibration:
    generator = torch.Generator().manual_seed(0)
    return Calibration([torch.randint(4, 200, (n,), generator=generator) for n in (40, 33, 40, 5, 2, 1)], {})


def quantized(model: nn.Module, spec: str) -> tuple[nn.Module, list[str]]:
    said: list[str] = []
    loaded = LoadedModel(model, tokenizer(), "test")
    quantize_loaded(loaded, get_registry().quantizer(spec), calibration=calibration(), log=said.append)
    return loaded.model, said


def layers_of(model: nn.Module) -> dict[str, Int8Linear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, Int8Linear)}


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_architecture(architecture: str, spec: str) -> None:
    model = make_model(architecture)
    before = logits(model)
    model, said = quantized(model, spec)
    assert layers_of(model) and all(layer.input_scale is not None for layer in layers_of(model).values())
    assert (logits(model) - before).norm() / before.norm() < 0.05
    assert "on 121 tokens" in said[0] and f"{len(layers_of(model))} layers" in said[1]


def test_ranges_are_of_what_reaches_each_layer() -> None:
    model = make_model("llama")
    names = linear_names(model, head=True)
    assert names[-1] == "lm_head"
    greatest: dict[str, float] = {}
    hooks = [
        model.get_submodule(name).register_forward_pre_hook(
            lambda _, args, name=name: greatest.__setitem__(
                name, max(greatest.get(name, 0), args[0].abs().max().item())
            )
        )
        for name in names
    ]
    with torch.no_grad():
        for sequence in calibration().sequences:
            model(input_ids=sequence[None])
    for hook in hooks:
        hook.remove()
    found, tokens = observe(model, names, calibration().sequences)
    assert tokens == 121
    assert {name: each.most for name, each in found.items()} == pytest.approx(greatest, rel=1e-4)
    assert not any(module._forward_pre_hooks for module in model.modules())


def inputs_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """What goes into each Linear of the blocks on the calibration set: [values]."""
    found: dict[str, list[torch.Tensor]] = {name: [] for name in block_linears(model)}
    hooks = [
        model.get_submodule(name).register_forward_pre_hook(
            lambda _, args, name=name: found[name].append(args[0].flatten())
        )
        for name in found
    ]
    with torch.no_grad():
        for sequence in calibration().sequences:
            model(input_ids=sequence[None])
    for hook in hooks:
        hook.remove()
    return {name: torch.cat(parts) for name, parts in found.items()}


@pytest.mark.parametrize("act_bits", [8, 4])
def test_on_tinycoder_mse_is_at_or_below_max_in_every_layer(act_bits: int) -> None:
    source = load_model("tinycoder", "cpu", "float32").model
    inputs = inputs_of(source)
    weights = {name: linear.weight.detach().clone() for name, linear in block_linears(source).items()}
    errors: dict[str, dict[str, tuple[float, float]]] = {}
    for loss in ("mse", "max"):
        model, _ = quantized(copy.deepcopy(source), f"int8-static:per-column,{loss},act_bits={act_bits}")
        errors[loss] = {}
        for name, layer in layers_of(model).items():
            assert isinstance(layer, QuantizedLinear)
            x = inputs[name].view(-1, layer.in_features)
            activations = (layer.quantized_input(x) - x).double().square().sum().item()
            errors[loss][name] = (
                activations,
                (layer.dequantized_weight() - weights[name]).double().square().sum().item(),
            )
    assert len(errors["mse"]) == 28
    for name, (activation, weight) in errors["mse"].items():
        assert activation <= errors["max"][name][0] * (1 + 1e-6), name
        assert weight <= errors["max"][name][1] * (1 + 1e-6), name
    assert sum(a for a, _ in errors["mse"].values()) < 0.95 * sum(a for a, _ in errors["max"].values())


def test_per_column_is_closer_than_per_tensor_in_every_layer_of_tinycoder() -> None:
    source = load_model("tinycoder", "cpu", "float32").model
    for linear in block_linears(source).values():
        wide, narrow = (
            (Int8Linear.from_linear(linear, WeightGrid(c)).dequantized_weight() - linear.weight).norm()
            for c in (False, True)
        )
        assert narrow <= wide


# ------------------------------------------------------------------------------------------------------- products


def layer(per_column: bool = True, input_range: float | None = 2.0, act_bits: int = 8, bits: int = 8) -> Int8Linear:
    torch.manual_seed(0)
    return Int8Linear.from_linear(nn.Linear(1100, 72), WeightGrid(per_column, bits), act_bits, input_range)


def by_hand(each: Int8Linear, x: torch.Tensor) -> torch.Tensor:
    """The layer's arithmetic in 64 bits: integers, then two scales and a bias, each rounded to float32 once."""
    rows = x.float()
    scale = each.input_scale
    if scale is None:
        scale = (rows.abs().amax(dim=1, keepdim=True) * (1 / each.levels)).clamp_min(1e-30)
    q = (rows / scale).round().clamp(-each.levels, each.levels).long()
    return ((q @ each.int8_weight().long().t()).float() * each.weight_scale * scale + each.bias).to(x.dtype)


@pytest.fixture(params=["packed", "in halves", "both", "plain", "simulated"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param in ("packed", "both") and products.packed_form() is not products.PackedWeight:
        pytest.skip("needs VNNI instructions: FBGEMM is exact with them only")
    if request.param == "in halves":
        needs_a_packed_form()
        monkeypatch.setattr(products, "packed_form", lambda: products.WeightOfHalves)
    if request.param == "simulated":
        monkeypatch.setattr(products, "exact", lambda _: False)
    yield request.param


def needs_a_packed_form() -> str:
    """Return how the layers' kernel is called here."""
    form = products.packed_form()
    if form is None:
        pytest.skip("needs FBGEMM, which is for x86")
    return f"int8, {form.kernel}"


@pytest.mark.parametrize("input_range", [2.0, None])
@pytest.mark.parametrize(("act_bits", "bits", "per_column"), [(8, 8, True), (8, 8, False), (4, 8, True), (8, 4, False)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_way_gives_the_integers_product(
    way: str, input_range: float | None, act_bits: int, bits: int, per_column: bool, dtype: torch.dtype
) -> None:
    each = layer(per_column, input_range, act_bits, bits)
    if way in ("packed", "in halves", "both"):
        each.pack(keep=way == "both")
    x = (3 * torch.randn(150, 1100, generator=torch.Generator().manual_seed(1))).to(dtype)
    x[3] = 0
    expected = by_hand(each, x)
    assert torch.equal(each(x), expected)
    assert torch.equal(torch.cat([each(x[:1]), each(x[1:8]), each(x[8:])]), expected)
    assert int(each.int8_weight().abs().max()) == (127 if bits == 8 else 7)


def test_static_clips_symmetrically() -> None:
    each = layer(input_range=1.0)
    assert torch.equal(each.quantized_input(torch.full((1, 1100), -5.0)), torch.full((1, 1100), -1.0))
    four = layer(input_range=1.0, act_bits=4)
    x = torch.linspace(-1, 1, 1100)[None]
    assert len(four.quantized_input(x).unique()) == 15


@pytest.mark.parametrize("columns", [1, 2047, 2048, 2049, 5000])
def test_halves_of_the_greatest_values_add_up(columns: int) -> None:
    needs_a_packed_form()
    weight = torch.full((3, columns), 127, dtype=torch.int8)
    weight[1], weight[2, ::2] = -127, -127
    scale = torch.tensor([1.0, 0.3, 2.0])
    q = torch.tensor([127.0, -127.0, 126.0, -126.0, 0.0])[:, None].expand(-1, columns)
    packed = products.WeightOfHalves(weight, scale)
    assert torch.equal(packed.product(q), (q.long() @ weight.long().t()).float() * scale)
    assert torch.equal(packed.unpacked(), weight)


def test_forms_hold_the_same_weight_and_are_counted() -> None:
    needs_a_packed_form()
    each = layer()
    weight = each.int8_weight()
    held = resident_bytes(each)
    each.pack()
    assert each.plain_weight is None and torch.equal(each.int8_weight(), weight) and resident_bytes(each) == held
    assert torch.equal(each.state_dict()["weight"], weight)
    each.pack(keep=True)
    assert torch.equal(each.plain_weight, weight) and resident_bytes(each) == held + weight.nbytes
    for again in (pickle.loads(pickle.dumps(each)), copy.deepcopy(each)):
        assert again.kernel() == each.kernel() and torch.equal(again.int8_weight(), weight)
    half = copy.deepcopy(each).half()
    assert (
        half.weight_scale.dtype == torch.float32 and half.bias.dtype == torch.float16 and half.kernel() == each.kernel()
    )
    each.unpack()
    assert each.packed_bytes == 0 and each.kernel() in ("int8, plain", "int8, simulated")


def test_settling_keeps_both_forms_only_with_tiles_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = needs_a_packed_form()
    model, _ = quantized(make_model("llama"), "int8-static")
    count = len(layers_of(model))
    monkeypatch.setattr(products, "has_tiles", lambda: False)
    assert select_kernels(model) == {packed: count}
    monkeypatch.setattr(products, "has_tiles", lambda: True)
    before = logits(model)
    assert int8_checkpoint.Int8Checkpoint().select_kernels(model, 3 * 32 * 32) == {
        f"{packed} or plain": 3,
        packed: count - 3,
    }
    assert int8_checkpoint.Int8Checkpoint().select_kernels(model, 10**9) == {f"{packed} or plain": count}
    assert torch.equal(logits(model), before)
    assert int8_checkpoint.Int8Checkpoint().select_kernels(model, 0) == {packed: count}


# ----------------------------------------------------------------------------------------------------- checkpoints


@pytest.mark.parametrize("spec", ["int8-dynamic", "int8-static:per-column", "int8-dynamic:per-column,act_bits=4"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_checkpoint_gives_the_same_logits(architecture: str, spec: str, tmp_path: Path) -> None:
    model, _ = quantized(make_model(architecture), spec)
    get_registry().quantizer(spec).save(model, tmp_path)
    tokenizer().save_pretrained(tmp_path)
    assert getattr(model.config, "quantization_config", None) is None
    again = load_model(str(tmp_path), "cpu", "float32").model
    assert {name: each.kernel() for name, each in layers_of(again).items()} == {
        name: each.kernel() for name, each in layers_of(model).items()
    }
    assert torch.equal(logits(again), logits(model))
    half = load_model(str(tmp_path), "cpu", "bfloat16").model
    assert all(each.weight_scale.dtype == torch.float32 for each in layers_of(half).values())
    with pytest.raises(ModelError, match="already quantized"):
        block_linears(again)


def test_exported_as_a_user_does_it(tmp_path: Path) -> None:
    save_model("codegen", tmp_path / "full")
    (tmp_path / "text.txt").write_text("def add(a, b):\n    return a + b\n" * 40)
    calib = f'files:"{tmp_path / "text.txt"}",n=2,seqlen=32'
    export_checkpoint(bound(tmp_path / "full", "int8-static:per-column", calib=calib), tmp_path / "int8")
    loaded = load_model(str(tmp_path / "int8"), "cpu").model
    assert len(layers_of(loaded)) == 9
    with pytest.raises(ModelError, match="no other form"):
        int8_checkpoint.Int8Checkpoint().unpack(tmp_path / "int8", tmp_path / "plain")


@pytest.mark.parametrize("spec", ["int8-static", "int8-static:per-column", "int8-dynamic:head=false"])
@pytest.mark.parametrize("architecture", ["codegen", "xglm"])
def test_footprint_says_what_is_written(architecture: str, spec: str, tmp_path: Path) -> None:
    assert_footprint(architecture, spec, tmp_path)


@pytest.mark.parametrize("spec", ["int8-static:tied_head=true", "int8-dynamic:per-column,tied_head=true"])
def test_footprint_says_what_a_copy_of_a_shared_head_takes(spec: str, tmp_path: Path) -> None:
    assert_footprint("xglm", spec, tmp_path)
    with_head, without = (sizes(str(tmp_path / "full"), each) for each in (spec, spec.replace("true", "false")))
    assert with_head["unquantized_bytes"] == without["unquantized_bytes"]
    assert with_head["quantized_weights"] - without["quantized_weights"] == VOCABULARY * 32
    assert with_head["parameters"] == without["parameters"]


def assert_footprint(architecture: str, spec: str, tmp_path: Path) -> None:
    model, _ = quantized(tiny(architecture, torch.float32, tmp_path / "full"), spec)
    get_registry().quantizer(spec).save(model, tmp_path)
    written = sum(tensor.nbytes for tensor in load_file(tmp_path / "model.safetensors").values())
    found = sizes(str(tmp_path / "full"), spec)
    assert found["total_bytes"] == written
    assert found["packed_total_bytes"] == written
    four = sizes(str(tmp_path / "full"), f"{spec}{',' if ':' in spec else ':'}weight_bits=4")
    assert four["total_bytes"] == written and four["packed_total_bytes"] == written - four["quantized_weights"] // 2


# ----------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("int8-static:weight_bits=6", "weight_bits must be 8 or 4, not 6"),
        ("int8-dynamic:act_bits=16", "act_bits must be 8 or 4, not 16"),
        ("int8-static:percentile=0", "percentile must be above 0"),
        ("int8-static:loss=mae", "mse"),
        ("int8-dynamic:head=false,tied_head=true", "give one of them"),
        ("int8-static:head=false,tied_head=true", "give one of them"),
        ("int8-dynamic:activations=tensor,loss=mse", "8 bits and loss=max only"),
    ],
)
def test_bad_options(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        get_registry().quantizer(spec)


def test_weights_that_are_no_numbers_and_text_that_is_none() -> None:
    model = make_model("llama")
    model.model.layers[1].mlp.up_proj.weight.data[0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"layers\.1\.mlp\.up_proj\.weight has values"):
        quantized(model, "int8-dynamic")
    with pytest.raises(ModelError, match="no tokens"):
        observe(make_model("llama"), ["lm_head"], [])
