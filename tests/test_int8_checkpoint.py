"""Int8 checkpoints in compressed-tensors' form: what transformers, which knows nothing of qharness, makes of them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from qharness import CheckpointReaders, ModelError, replace_module
from qharness.models.loading import load_model
from qharness.plugins.int8.int8_checkpoint import Int8Checkpoint, describe
from qharness.plugins.int8.integer_grid import WeightGrid
from qharness.plugins.int8.linear import Int8Linear
from qharness.plugins.int8.schemes import read_compressed
from qharness.quantization.checkpoint_export import export_checkpoint
from qharness.registry import get_registry
from tests.aqlm_models import logits
from tests.asked import bound
from tests.test_cli import Cli, in_process
from tests.test_int8_static import layers_of, quantized
from tests.tiny_models import CONFIGS, make_model, tokenizer

__all__ = ["in_process"]

PLAIN = """
import sys
import torch, transformers
from transformers.utils import quantization_config
for folder in sys.argv[1:]:
    config = transformers.AutoConfig.from_pretrained(folder)
    auto = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    model, found = auto.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert not any(found.values()), found
    text = {"input_ids": torch.arange(4, 40)[None]}
    if config.is_encoder_decoder:
        text["decoder_input_ids"] = torch.arange(4, 12)[None]
    with torch.no_grad():
        torch.save(model(**text).logits, f"{folder}/logits.pt")
quantization_config.is_compressed_tensors_available = lambda: False
try:
    auto.from_pretrained(folder)
except ImportError as error:
    print(error)
assert not any(name.startswith("qharness") for name in sys.modules)
"""
"""Transformers, without qharness, on checkpoints: their logits are written beside them; it prints how it refuses the
last where compressed-tensors is not installed."""
CASES = [
    *((architecture, "int8-dynamic:per-column") for architecture in CONFIGS),
    *((architecture, "int8-static") for architecture in CONFIGS),
    ("llama", "int8-dynamic:head=false"),
    ("xglm", "int8-dynamic:per-column,tied_head=true"),
    ("llama", "int8-static:per-column,weight_bits=4"),
    ("codegen", "int8-dynamic:per-column,act_bits=4"),
    ("llama", "mixed"),
]


@dataclass(frozen=True)
class Written:
    """A checkpoint, the model that was written, and the folder's name."""

    folder: Path
    model: transformers.PreTrainedModel
    spec: str


def write(architecture: str, spec: str, folder: Path) -> Written:
    model, _ = quantized(make_model(architecture, sharp=True), "int8-static" if spec == "mixed" else spec)
    if spec == "mixed":  # as where a layer saw only zeros
        model.get_submodule("model.layers.1.mlp.up_proj").input_scale = None
    Int8Checkpoint().save(model, folder)
    tokenizer().save_pretrained(folder)
    return Written(folder, model, spec)


@pytest.fixture(scope="module")
def written_and_refused(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[tuple[str, str], Written], str]:
    """The cases, each loaded by transformers in one process, and what that says without the package."""
    pytest.importorskip("compressed_tensors", reason="pip install compressed-tensors")
    folder = tmp_path_factory.mktemp("int8")
    found = {case: write(*case, folder / str(number)) for number, case in enumerate(CASES)}
    command = [sys.executable, "-c", PLAIN, *(each.folder for each in found.values())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return found, done.stdout


@pytest.fixture(scope="module")
def written(
    written_and_refused: tuple[dict[tuple[str, str], Written], str],
) -> dict[tuple[str, str], Written]:
    return written_and_refused[0]


def as_compressed_tensors_computes(model: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    """The same integers in plain Linears, activations on its grid: from -2^(bits-1), and half a level wider."""
    for name, layer in layers_of(model).items():
        linear = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
        linear.weight.data = layer.dequantized_weight()
        if layer.bias is not None:
            linear.bias.data = layer.bias
        least = 2 ** (layer.act_bits - 1)
        fixed = layer.input_scale

        def rounded(_: nn.Module, args: tuple[Tensor], least: int = least, fixed: Tensor | None = fixed) -> Tensor:
            scale = args[0].abs().amax(-1, keepdim=True) / (least - 0.5) if fixed is None else fixed
            return (args[0] / scale.clamp_min(1e-30)).round().clamp(-least, least - 1) * scale

        linear.register_forward_pre_hook(rounded)
        replace_module(model, name, linear)
    return model


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_plain_transformers_computes_with_our_integers(
    case: tuple[str, str], written: dict[tuple[str, str], Written]
) -> None:
    each = written[case]
    theirs = torch.load(each.folder / "logits.pt")
    ours = logits(each.model)
    again = load_model(str(each.folder), "cpu", "float32").model
    assert len(layers_of(again)) == len(layers_of(each.model)) and torch.equal(logits(again), ours)
    same = logits(as_compressed_tensors_computes(again))
    assert (theirs - same).norm() < 0.02 * same.norm()  # a tie that rounds the other way moves what follows
    if "act_bits" not in case[1]:
        full = logits(make_model(case[0], sharp=True))
        assert (theirs - full).norm() < 2 * (ours - full).norm() + 0.01 * full.norm()


def test_without_the_package_transformers_refuses(written_and_refused: tuple[object, str]) -> None:
    assert "pip install" in written_and_refused[1] and "compressed-tensors" in written_and_refused[1]


def test_what_is_left_alone_is_named(written: dict[tuple[str, str], Written]) -> None:
    for (architecture, spec), left in {
        ("t5", "int8-static"): ["lm_head"],  # shares the embeddings' weights
        ("llama", "int8-dynamic:head=false"): ["lm_head"],
        ("xglm", "int8-dynamic:per-column"): ["lm_head"],
        ("xglm", "int8-dynamic:per-column,tied_head=true"): [],
        ("llama", "int8-static"): [],
    }.items():
        settings = json.loads((written[architecture, spec].folder / "config.json").read_text())["quantization_config"]
        assert settings["ignore"] == left and settings["config_groups"]["group_0"]["targets"] == ["Linear"]
    groups = describe(written["llama", "mixed"].model)["config_groups"].values()
    dynamic = [group["targets"] for group in groups if group["input_activations"]["dynamic"]]
    assert dynamic == [["model.layers.1.mlp.up_proj"]]
    assert (written["llama", "int8-static"].folder / "generation_config.json").is_file()


# ------------------------------------------------------------------------------------------------ others', and older


def edited(folder: Path, target: Path, **changes: Any) -> Path:
    """A copy of a checkpoint with other settings."""
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    config = json.loads((target / "config.json").read_text())
    config["quantization_config"] |= changes
    (target / "config.json").write_text(json.dumps(config))
    return target


def test_targets_by_regular_expression_and_by_class(written: dict[tuple[str, str], Written], tmp_path: Path) -> None:
    each = written["llama", "mixed"]
    settings = describe(each.model)["config_groups"]
    static, dynamic = sorted(settings.values(), key=lambda group: group["input_activations"]["dynamic"])
    groups = {"a": static | {"targets": ["Linear"]}, "b": dynamic | {"targets": ["re:.*layers\\.1\\.mlp\\.up_.*"]}}
    found = load_model(str(edited(each.folder, tmp_path / "q", config_groups=groups)), "cpu").model
    assert torch.equal(logits(found), logits(each.model))


def test_other_schemes_are_left_to_transformers(written: dict[tuple[str, str], Written], tmp_path: Path) -> None:
    each = written["llama", "int8-dynamic:head=false"]
    settings = describe(each.model)
    (group,) = settings["config_groups"].values()
    assert read_compressed(settings) is not None
    for change in (
        {"input_activations": None},
        {"input_activations": group["input_activations"] | {"strategy": "tensor"}},
        {"weights": group["weights"] | {"symmetric": False}},
        {"weights": group["weights"] | {"num_bits": 4}},
        {"weights": group["weights"] | {"type": "float"}},
        {"output_activations": group["input_activations"]},
        {"format": "pack-quantized"},
    ):
        assert read_compressed(settings | {"config_groups": {"group_0": group | change}}) is None, change
    assert read_compressed(settings | {"kv_cache_scheme": group["weights"]}) is None
    weights_only = {"group_0": group | {"input_activations": None}}
    found = load_model(str(edited(each.folder, tmp_path / "q", config_groups=weights_only)), "cpu").model
    assert not layers_of(found)
    for name, layer in layers_of(each.model).items():
        linear = nn.Linear(layer.in_features, layer.out_features, bias=False)
        linear.weight.data = layer.dequantized_weight()
        replace_module(each.model, name, linear)
    assert torch.allclose(logits(found), logits(each.model), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("spec", ["int8-dynamic:per-column", "mixed"])
def test_what_was_written_formerly_is_read(spec: str, tmp_path: Path) -> None:
    """`quant_method: qharness-int8`, scales of rows as [out]."""
    each = write("llama", spec, tmp_path / "now")
    layers = layers_of(each.model)
    former = {
        "quant_method": "qharness-int8",
        "per_column": spec != "mixed",
        "act_bits": 8,
        "static": [name for name, layer in layers.items() if layer.input_scale is not None],
        "kept": [],
    }
    folder = tmp_path / "now"
    state = load_file(folder / "model.safetensors")
    state |= {name: entry.flatten() for name, entry in state.items() if name.endswith("weight_scale")}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": former}))
    assert torch.equal(logits(load_model(str(folder), "cpu").model), logits(each.model))


def test_a_layer_that_transformers_would_misread_is_not_written(tmp_path: Path) -> None:
    config = transformers.GPT2Config(vocab_size=260, n_embd=32, n_layer=1, n_head=2, n_positions=64)
    model = transformers.GPT2LMHeadModel(config).eval()
    linear = nn.Linear(32, 32)
    replace_module(model, "transformer.h.0.attn.c_proj", Int8Linear.from_linear(linear, WeightGrid(True)))
    with pytest.raises(ModelError, match=r"c_proj is no Linear of GPT2LMHeadModel's own.*`qharness run`"):
        Int8Checkpoint().save(model, tmp_path / "q")
    assert not (tmp_path / "q").exists() and not hasattr(model.config, "quantization_config")


# ------------------------------------------------------------------------------------------------ what is said of it


@pytest.mark.parametrize(
    ("quant", "who"),
    [
        ("int8-dynamic", "transformers with compressed-tensors"),
        ("int8-static:act_bits=4", "transformers with compressed-tensors (its activations of 4 bits"),
        ("rtn:3", "plain transformers"),
        ("none", "plain transformers"),
        ("aqlm:codebooks=1,nbits=3,finetune=none", "transformers with aqlm (not where"),
        ("aqlm:codebooks=1,nbits=3,finetune=none,packed=true", "qharness only (`qharness quantize --unpack`"),
    ],
)
def test_quantize_says_who_loads_it_and_its_size(
    quant: str, who: str, in_process: Cli, random_llama: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text("def add(a, b):\n    return a + b\n" * 40)
    calib = f'files:"{tmp_path / "text.txt"}",n=2,seqlen=32'
    arguments = ["quantize", "--model", random_llama, "--quant", quant, "--calib", calib, "--output"]
    shown = in_process(*arguments, tmp_path / "q")
    assert shown.returncode == 0 and f"loads in:   {who}" in shown.stdout, shown.stderr
    document = json.loads(in_process(*arguments, tmp_path / "again", "--json").stdout)
    before, after = ((folder / "model.safetensors").stat().st_size for folder in (random_llama, tmp_path / "q"))
    assert document["bytes"] == {"before": before, "after": after}
    assert f"{before / 1e6:.2f} MB before, {after / 1e6:.2f} MB after" in shown.stdout
    assert document["output"] == str(tmp_path / "again") and document["quantizer"].partition(":")[0] in quant
    assert str(CheckpointReaders(**document["loads_with"])).startswith(who)


def test_other_libraries_forms_name_their_package() -> None:
    registry = get_registry()
    assert str(registry.quantizer("torchao:int8wo").checkpoint_readers()) == "transformers with torchao"
    assert str(registry.quantizer("hf:bnb-nf4").checkpoint_readers()) == "transformers with bitsandbytes"


def test_a_generation_config_that_transformers_warns_of_is_written(random_llama: Path, tmp_path: Path) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    for path in random_llama.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    settings = json.loads((folder / "generation_config.json").read_text()) | {"temperature": 0.9, "do_sample": False}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    export_checkpoint(bound(folder, "int8-dynamic", device="cpu"), tmp_path / "q")
    assert json.loads((tmp_path / "q/generation_config.json").read_text())["temperature"] == 0.9
