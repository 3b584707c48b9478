"""What quantizers leave in full precision: counted, said, refused beyond half; and weights that are no numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from qharness import ModelError, QuantizationContext, Quantizer, RunSpec, block_linears, quantize, replace_module
from qharness.models.loading import LoadedModel
from qharness.models.untouched import Snapshot, Untouched, least_untouched, require_finite
from qharness.plugins.int8.linear import Int8Linear
from qharness.quantization.application import quantize_loaded
from qharness.quantization.quantized_artifacts import quantized_dir
from qharness.quantization.quantized_models import Models
from qharness.registry import get_registry
from qharness.study import run
from tests.asked import resolved
from tests.test_cli import Cli, in_process, one_line
from tests.tiny_architectures import calibration, make, saved
from tests.tiny_models import save_model, tokenizer

__all__ = ["in_process"]


@dataclass(frozen=True)
class Some:
    """A third party's: rounds the Linears whose names end so, in place or by replacing them, and may train the rest."""

    name: ClassVar[str] = "some"
    needs_calibration: ClassVar[bool] = False
    batch_dependent: ClassVar[bool] = False

    endings: tuple[str, ...] = ("proj",)
    replaces: bool = False
    trains: bool = False

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> nn.Module:
        """Half of a unit is the grid."""
        chosen = {name: each for name, each in block_linears(model).items() if name.endswith(self.endings)}
        for name, linear in chosen.items():
            if self.replaces:
                replace_module(model, name, Codes(linear))
            else:
                linear.weight.copy_((linear.weight * 2).round() / 2)
        if self.trains:
            for parameter in model.parameters():
                parameter.add_(1e-4)
        return model


@dataclass(frozen=True)
class Anew:
    """Gives another model, as it was."""

    architecture: str

    name: ClassVar[str] = "anew"
    needs_calibration: ClassVar[bool] = False
    batch_dependent: ClassVar[bool] = False

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> nn.Module:
        """The same weights."""
        return make(self.architecture)


class Codes(nn.Module):
    """Integers, and the bias as a buffer."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("codes", (linear.weight.detach() * 2).round().to(torch.int8))
        self.register_buffer("bias", linear.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.linear(x, self.codes.float() / 2, self.bias)


def after(quantizer: Quantizer, name: str = "Qwen2") -> Untouched:
    loaded = LoadedModel(make(name), tokenizer(), name)
    quantize_loaded(loaded, quantizer, allow_untouched=True)
    assert loaded.untouched
    return loaded.untouched


def share_of(name: str, *endings: str) -> float:
    parameters = {n: p.numel() for n, p in make(name).named_parameters() if ".layers." in n or ".h." in n}
    return sum(count for n, count in parameters.items() if n.endswith(endings)) / sum(parameters.values())


@pytest.mark.parametrize("replaces", [False, True])
def test_counted_by_parameters_whoever_quantizes_and_however(replaces: bool) -> None:
    found = after(Some(replaces=replaces))
    assert found.share == pytest.approx(share_of("Qwen2", "bias", "norm.weight"))
    mlp_only = after(Some(("up_proj", "gate_proj", "down_proj"), replaces))
    attention = share_of(
        "Qwen2", "q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight", "bias", "norm.weight"
    )
    assert mlp_only.share == pytest.approx(attention) and mlp_only.notable
    assert next(iter(mlp_only.modules)) in ("model.layers.*.self_attn.q_proj", "model.layers.*.self_attn.o_proj")
    assert sum(mlp_only.modules.values()) == pytest.approx(mlp_only.share)


def test_what_is_trained_in_full_precision_is_in_full_precision() -> None:
    assert after(Some(replaces=True, trains=True)).share == pytest.approx(after(Some(replaces=True)).share)


def test_a_quantizer_that_does_nothing_leaves_all_of_it() -> None:
    assert after(Some(("nothing",))).share == 1.0


@pytest.mark.parametrize("name", ["GPT-2", "Mixtral"])
def test_a_model_that_is_loaded_anew_is_held_against_the_same_names(name: str) -> None:
    """As libraries do that quantize while loading: fused experts and Conv1D are as transformers makes them."""
    assert after(Anew(name), name).share == 1.0


@pytest.mark.parametrize(
    ("name", "quant"),
    [
        ("Llama", "rtn:8"),
        ("StarCoder2", "int8-dynamic"),
        ("Mixtral", "int8-dynamic"),
        ("GPT-2", "int8-dynamic:activations=tensor"),
    ],
)
def test_our_quantizers_touch_nearly_all(name: str, quant: str) -> None:
    found = after(get_registry().quantizer(quant), name)
    assert 0 < found.share < 0.05 and not found.notable


def test_modules_come_in_one_order() -> None:
    """The largest first, equal ones as they stand in the model: whatever Python's hashes are."""
    found = list(least_untouched(make("Llama")).modules)
    assert found == ["model.layers.*.input_layernorm", "model.layers.*.post_attention_layernorm"]
    many = {f"layers.{n}.{name}.weight": 1 for n in range(2) for name in "dbeac"}
    assert list(Untouched.of_counts(many, many).modules) == [f"layers.*.{name}" for name in "dbeac"]


def test_half_is_refused_unless_asked_for() -> None:
    quantizer = Some(("q_proj",))
    with pytest.raises(ModelError, match="some quantizes too little"):
        after(quantizer).require_less_than_half("some")
    with pytest.raises(ModelError, match=r"rtn quantizes too little of this model: 7\d% of the blocks' .*experts \(7"):
        quantize(LoadedModel(make("Llama 4"), tokenizer(), "x"), "rtn:3")
    quantize(LoadedModel(make("Llama 4"), tokenizer(), "x"), "rtn:3", allow_untouched=True)


def test_a_run_says_it_and_a_cached_model_knows_it(
    in_process: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "cache"))
    folder = saved("Llama 4", tmp_path / "llama-4")
    arguments = ("run", "--model", folder, "--quant", "rtn:4,group=16", "--task", "warmup-python", "--limit", 1,
                 "--max-new-tokens", 4, "--no-baseline", "--output", tmp_path / "runs")  # fmt: skip
    one_line(in_process(*arguments), "7", "stay in full precision", "--allow-untouched")
    assert not list((tmp_path / "runs").glob("*/run.json"))
    done = in_process(*arguments, "--allow-untouched")
    assert done.returncode == 0, done.stderr
    assert "stay in full precision: model.layers.*.feed_forward.experts" in done.stderr
    assert "left in full precision, %" in done.stdout
    (path,) = (tmp_path / "runs").glob("*/run.json")
    document = json.loads(path.read_text())
    assert 0.7 < document["untouched"]["share"] < 0.8
    assert document["untouched"]["modules"]["model.layers.*.feed_forward.experts"] > 0.7

    spec = resolved(str(folder), "rtn:3", allow_untouched=True)
    made = Models(cached_from_s=0.0).get(spec).untouched
    said: list[str] = []
    again = Models().get(spec, said.append)
    assert again.untouched == made and made and made.share == pytest.approx(document["untouched"]["share"])
    assert any("stay in full precision" in line for line in said)
    with pytest.raises(ModelError, match="--allow-untouched"):
        Models().get(resolved(str(folder), "rtn:3"))
    about = next(quantized_dir().glob("*/about.json"))  # of a version that did not count
    about.write_text(
        json.dumps({key: value for key, value in json.loads(about.read_text()).items() if key != "untouched"})
    )
    assert Models(cached_from_s=0.0).get(spec).untouched == made and "untouched" in json.loads(about.read_text())


def test_full_precision_has_no_such_figure(random_llama: Path, tmp_path: Path) -> None:
    result = run(RunSpec(task="warmup-python", model=str(random_llama), limit=1, max_new_tokens=4, output=tmp_path))
    assert "untouched" not in result.document


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("quant", ["rtn:3", "int8-dynamic", "int8-static", "aqlm:2", "ternary", "hf:bnb-nf4"])
def test_weights_that_are_no_numbers_are_refused_by_all(quant: str, bad: float) -> None:
    model = make("Mixtral")
    model.model.layers[1].mlp.experts.down_proj.data[2, 3, 5] = bad
    model.model.norm.weight.data[0] = bad
    loaded = LoadedModel(model, tokenizer(), "x")
    with pytest.raises(ModelError, match=r"^model\.layers\.1\.mlp\.experts\.down_proj has values that are no finite"):
        quantize_loaded(loaded, get_registry().quantizer(quant), calibration=calibration(1, 8))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_dtype_is_looked_at(dtype: torch.dtype) -> None:
    layer = nn.Linear(4, 4).to(dtype)
    layer.weight.data[0, 0] = torch.finfo(dtype).max
    require_finite(layer)
    layer.bias.data[1] = float("nan")
    with pytest.raises(ModelError, match="bias has values"):
        require_finite(layer)


def test_empty_and_single_parameters() -> None:
    model = make("Llama")
    model.model.layers[0].register_parameter("one", nn.Parameter(torch.tensor(1.0)))
    model.model.layers[0].register_parameter("none", nn.Parameter(torch.empty(0, 3)))
    before = Snapshot.of(model)
    assert before.untouched(model).share == 1.0 and before.counts["model.layers.0.one"] == 1


def test_int8_keeps_its_form_in_a_checkpoint(tmp_path: Path) -> None:
    """`weight` of its state is integers still, whatever it answers when asked."""
    folder = save_model("llama", tmp_path)
    model = quantize(str(folder), "int8-dynamic")
    layer = model.get_submodule("model.layers.0.mlp.up_proj")
    assert isinstance(layer, Int8Linear)
    assert layer.state_dict()["weight"].dtype == torch.int8 and layer.weight.dtype == torch.float32
