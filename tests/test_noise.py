"""Quantization noise: equation 1, what shows of a layer, and figure 6's claims on tinycoder."""

from __future__ import annotations

import csv
import gc
import json
import math
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qharness import DataError, QuantizedLinear, UnknownNameError, quantize
from qharness.cli import main
from qharness.models.loading import LoadedModel, load_model
from qharness.noise.layers import effective_weight, seen_input
from qharness.noise.noise_measurement import SEQUENCES, TOKENS, NoiseInputs, draw_inputs, measure_noise
from qharness.noise.noise_output import write_noise
from qharness.noise.relative import Maxima, RelativeNoise, five_numbers, relative_noise
from qharness.plugins.int8.integer_grid import WeightGrid
from qharness.plugins.int8.linear import Int8Linear
from qharness.plugins.rtn import round_to_nearest
from qharness.results import NoiseReport
from qharness.specs import ModelSpec
from qharness.storage.benchmark_files import cache_dir
from qharness.storage.json_codec import encode
from tests.asked import bound, calibrated
from tests.tiny_models import save_model

QUANTS = ("none", "int8-dynamic", "int8-dynamic:per-column", "int8-dynamic:activations=tensor",
          "rtn:8", "rtn:4", "rtn:3", "rtn:2")  # fmt: skip
INPUTS = "stdlib:n=3,seqlen=96"
CPU = torch.device("cpu")
Document = dict[str, Any]


def measured(model: Path | str, *quants: str, inputs: str, **options: Any) -> list[Document]:
    reports = measure_noise([bound(model, quant, **options) for quant in quants], NoiseInputs.of(None, inputs))
    return [report.document for report in reports]


@pytest.fixture(scope="module")
def tinycoder() -> dict[str, Document]:
    """Noise of tinycoder by quantizer."""
    return dict(zip(QUANTS, measured("tinycoder", *QUANTS, inputs=INPUTS, device="cpu"), strict=True))


def column(document: Document, key: str) -> dict[str, float]:
    return {layer["name"]: layer[f"{key}_noise"] for layer in document["layers"]}


# ------------------------------------------------------------------------------------------------------- equation 1


def test_equation_1_by_hand() -> None:
    assert relative_noise(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 3.5])) == pytest.approx(0.5**2 / 5**2)
    parts = RelativeNoise()
    parts.add(torch.tensor([3.0]), torch.tensor([3.0]))
    parts.add(torch.tensor([4.0]), torch.tensor([3.5]))
    assert parts.value == pytest.approx(0.01)


def test_equation_1_agrees_with_its_approximation() -> None:
    """Delta^2 / 12 a weight, as the paper has it, where the steps are small beside the weights."""
    weight = torch.rand(64, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    q, step = WeightGrid(per_column=True).quantize(weight)
    step = step[:, None]
    expected = (step**2 / 12 * weight.shape[1]).sum() / weight.square().sum()
    assert relative_noise(weight, q * step) == pytest.approx(float(expected), rel=0.02)


def test_noise_of_nothing_is_undefined() -> None:
    assert math.isnan(RelativeNoise().value)
    assert math.isnan(relative_noise(torch.zeros(3), torch.zeros(3)))


def test_spread_by_hand() -> None:
    maxima = Maxima()
    maxima.add(torch.tensor([[[1.0, -5.0], [2.0, 0.0], [3.0, 3.0]]]))
    maxima.add(torch.tensor([[[-9.0, 1.0]]]))
    maxima.add(torch.zeros(0, 2))  # an expert that no token was sent to
    assert encode(maxima.spread()) == {
        "tokens": {"min": 2, "q1": 2.75, "median": 4, "q3": 6, "max": 9},
        "inputs": {"min": 5, "q1": 6, "median": 7, "q3": 8, "max": 9},
    }
    assert five_numbers([]) is None


# ----------------------------------------------------------------------------------------- against plain transformers


def test_weights_and_hidden_states_against_plain_transformers(tinycoder: dict[str, Document]) -> None:
    """Each figure again by other means: hidden states as transformers returns them, both models in memory."""
    full = load_model("tinycoder", "cpu")
    ids = [s[None] for s in calibrated(full, INPUTS, seed=0).sequences]
    rough = quantize("tinycoder", "rtn:3")
    document = tinycoder["rtn:3"]
    weights = column(document, "weight")
    for name in weights:
        weight = full.model.get_submodule(name).weight.detach()
        assert weights[name] == pytest.approx(relative_noise(weight, round_to_nearest(weight, 3, 64)))
    with torch.no_grad():
        both = [[model(i, output_hidden_states=True).hidden_states for i in ids] for model in (full.model, rough)]
    for depth in (1, 2, 3):  # the last is returned after the final norm
        noise = relative_noise(*(torch.cat([states[depth] for states in each], 1) for each in both))
        of_depth = {layer["accumulated_noise"] for layer in document["layers"] if layer["depth"] == depth}
        assert len(of_depth) == 1 and of_depth.pop() == pytest.approx(noise, rel=1e-4)


def test_activations_against_the_first_layers_input(tinycoder: dict[str, Document]) -> None:
    """What reaches the first layer is the same in both models: embeddings, normalised."""
    full = load_model("tinycoder", "cpu")
    core = full.model.model
    noise, maxima = RelativeNoise(), Maxima()
    with torch.no_grad():
        for ids in calibrated(full, INPUTS, seed=0).sequences:
            x = core.layers[0].input_layernorm(core.embed_tokens(ids))
            step = x.abs().amax(-1, keepdim=True) / 127
            noise.add(x, (x / step).round() * step)
            maxima.add(x)
    first = tinycoder["int8-dynamic"]["layers"][0]
    assert first["name"].endswith("layers.0.self_attn.q_proj") and first["depth"] == 1
    assert first["activation_noise"] == pytest.approx(noise.value, rel=1e-3)
    assert first["activation_max"]["tokens"] == pytest.approx(encode(maxima.spread())["tokens"])
    assert first["activation_max"]["inputs"] == pytest.approx(encode(maxima.spread())["inputs"])


# ------------------------------------------------------------------------------------------------- figure 6's claims


def test_full_precision_has_no_noise(tinycoder: dict[str, Document]) -> None:
    for key in ("weight", "activation", "accumulated"):
        assert set(column(tinycoder["none"], key).values()) == {0.0}


def test_per_column_noise_is_below_per_tensor(tinycoder: dict[str, Document]) -> None:
    tensor, columns = (column(tinycoder[q], "weight") for q in ("int8-dynamic", "int8-dynamic:per-column"))
    assert len(tensor) == 28
    assert all(0 < columns[name] < tensor[name] for name in tensor)


def test_noise_falls_with_bits(tinycoder: dict[str, Document]) -> None:
    eight, four, three, two = (column(tinycoder[f"rtn:{bits}"], "weight") for bits in (8, 4, 3, 2))
    assert all(0 < eight[name] < four[name] < three[name] < two[name] for name in eight)
    assert set(column(tinycoder["rtn:4"], "activation").values()) == {0.0}


@pytest.mark.parametrize("quant", QUANTS[1:-1])
def test_noise_grows_with_depth(quant: str, tinycoder: dict[str, Document]) -> None:
    by_depth = {layer["depth"]: layer["accumulated_noise"] for layer in tinycoder[quant]["layers"]}
    assert list(by_depth) == [1, 2, 3, 4]
    assert 0 < by_depth[1] < by_depth[4]


def test_pytorchs_own_layers_show_their_weights_only(tinycoder: dict[str, Document]) -> None:
    own = tinycoder["int8-dynamic:activations=tensor"]
    ours = column(tinycoder["int8-dynamic"], "weight")
    assert all(0.1 < noise / ours[name] < 10 for name, noise in column(own, "weight").items())
    assert all(math.isnan(noise) for noise in column(own, "activation").values())
    assert math.isnan(own["mean"]["activation_noise"])


@pytest.mark.parametrize("architecture", ["t5", "plbart", "codegen"])
def test_other_architectures(architecture: str, tmp_path: Path) -> None:
    folder = save_model(architecture, tmp_path / "model")
    (document,) = measured(folder, "int8-dynamic", inputs="stdlib:n=2,seqlen=31", device="cpu")
    depths = [layer["depth"] for layer in document["layers"]]
    assert sorted(set(depths)) == list(range(1, 1 + (2 if architecture == "codegen" else 4)))
    assert depths == sorted(depths)
    for key in ("weight", "activation", "accumulated"):
        assert all(0 < noise < 0.1 for noise in column(document, key).values()), key
    decoder = [layer["block"].startswith(("decoder", "model.decoder")) for layer in document["layers"]]
    assert decoder == sorted(decoder), "the encoder runs first"


# --------------------------------------------------------------------------------------------- what shows of a layer


class WeightOnly(nn.Module):
    """A layer that keeps its weight to itself; `step`: of its activations, fixed."""

    def __init__(self, weight: Tensor, bias: Tensor, step: float = 0.0) -> None:
        super().__init__()
        self.kept, self.bias, self.step = weight, bias, step
        self.weight = torch.zeros(3, dtype=torch.uint8)  # codes that nobody outside can read

    def forward(self, x: Tensor) -> Tensor:
        if self.step:
            x = (x / self.step).round().clamp(-127, 127) * self.step
        return nn.functional.linear(x, self.kept, self.bias)


def test_a_layer_of_any_kind_shows_its_weight_by_running_it() -> None:
    draw = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(5, 300, generator=draw), torch.randn(5, generator=draw)
    found = effective_weight(WeightOnly(weight, bias), weight.shape, CPU)
    assert found is not None and relative_noise(weight, found) < 1e-10
    assert seen_input(WeightOnly(weight, bias)) is None
    for step in (0.005, 0.03):  # cuts unit vectors off, rounds them
        assert effective_weight(WeightOnly(weight, bias, step), weight.shape, CPU) is None
    assert effective_weight(nn.Embedding(4, 300), weight.shape, CPU) is None


def test_codes_whose_scale_is_elsewhere_are_no_weight() -> None:
    """As bitsandbytes' int8 parameter is: a subclass of codes that `dequantize` takes for numbers."""

    class Codes(nn.Parameter):
        pass

    class Coded(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(x, 0.01 * self.weight)

    weight = torch.randint(-127, 128, (5, 300), generator=torch.Generator().manual_seed(0)).float()
    layer = Coded(300, 5, bias=False)
    layer.weight = Codes(weight, requires_grad=False)
    found = effective_weight(layer, weight.shape, CPU)
    assert found is not None and relative_noise(0.01 * weight, found) < 1e-10


def test_our_int8_layer_shows_what_it_computes_with() -> None:
    draw = torch.Generator().manual_seed(0)
    linear, x = nn.Linear(48, 40), torch.randn(2, 7, 48, generator=draw)
    layer = Int8Linear.from_linear(linear, WeightGrid(per_column=True))
    assert isinstance(layer, QuantizedLinear)
    y = nn.functional.linear(layer.quantized_input(x), layer.dequantized_weight(), linear.bias)
    assert torch.allclose(y, layer(x), atol=1e-5)
    assert layer.quantized_input(x.bfloat16()).dtype == torch.bfloat16


# ------------------------------------------------------------------------------------------------------------ inputs


def test_inputs_are_held_out_and_short(random_llama: Path) -> None:
    loaded = load_model(str(random_llama), "cpu")
    held_out, spec = NoiseInputs.of("stdlib:n=6", None), ModelSpec(str(random_llama))
    inputs = draw_inputs(loaded, held_out, spec)
    calibration = calibrated(loaded, "stdlib:n=6", seed=0).sequences
    assert len(inputs) == SEQUENCES and all(0 < len(s) <= TOKENS for s in inputs)
    known = {tuple(s.tolist()) for s in calibration}
    assert not known & {tuple(s.tolist()) for s in inputs}
    assert all(torch.equal(a, b) for a, b in zip(inputs, draw_inputs(loaded, held_out, spec), strict=True))


def test_a_set_without_more_text(random_llama: Path, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    loaded = load_model(str(random_llama), "cpu")
    calib = f'files:"{tmp_path}/*.py",n=1,seqlen=64'
    with pytest.raises(DataError, match="lower n"):
        draw_inputs(loaded, NoiseInputs.of(calib, None), ModelSpec())
    assert len(draw_inputs(loaded, NoiseInputs.of(None, calib), ModelSpec())) == 1


def test_a_mistake_leaves_nothing_behind(random_llama: Path) -> None:
    before = set(cache_dir().glob("*"))
    with pytest.raises(UnknownNameError):
        measured(random_llama, "none", "int9", inputs=INPUTS)
    with pytest.raises(UnknownNameError):
        measured(random_llama, "none", inputs="stdlb")
    assert not [path for path in set(cache_dir().glob("*")) - before if path.name.startswith("noise")]


# -------------------------------------------------------------------------------------------- files and command line


def test_files_and_figures(tinycoder: dict[str, Document], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_noise([NoiseReport.of_document(each, "") for each in tinycoder.values()], tmp_path / "noise")
    rows = list(csv.DictReader((tmp_path / "noise/layers.csv").open()))
    assert len(rows) == 28 * len(QUANTS)
    own = [row for row in rows if row["quantizer"] == "int8-dynamic:activations=tensor"]
    assert own and all(row["activation_noise"] == "" and float(row["weight_noise"]) > 0 for row in own)
    layer = tinycoder["none"]["layers"][5]
    assert float(rows[5]["activation_max_inputs_q3"]) == layer["activation_max"]["inputs"]["q3"]
    assert len(json.loads((tmp_path / "noise/noise.json").read_text())) == len(QUANTS)
    for name in ("weight-noise", "activation-maxima", "accumulated-noise"):
        assert (tmp_path / f"noise/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / f"noise/{name}.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.long
def test_command_line(cli: Callable[..., Any], random_llama: Path, tmp_path: Path) -> None:
    done = cli("noise", "--model", random_llama, "--quant", "none", "--quant", "int8-dynamic:activations=tensor",
               "--inputs", "stdlib:n=1,seqlen=40", "--output", tmp_path / "new" / "folder", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    none, own = json.loads(done.stdout)
    assert {"name", "depth", "weight_noise", "activation_noise", "accumulated_noise"} <= set(none["layers"][0])
    assert none["mean"]["weight_noise"] == 0 and own["mean"]["activation_noise"] is None
    assert own["inputs"]["tokens"] == 40
    assert (tmp_path / "new/folder/layers.csv").is_file()


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run `qharness noise` in this process: exit status, standard output and error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["qharness", "noise", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out, shown.err

    return run


def test_one_quantizer_is_one_document(here: Callable[..., tuple[int, str, str]], random_llama: Path) -> None:
    arguments = ("--model", random_llama, "--quant", "int8-dynamic", "--inputs", "stdlib:n=1,seqlen=40")
    code, text, _ = here(*arguments, "--json")
    assert code == 0 and json.loads(text)["quantizer"] == "int8-dynamic"
    code, text, _ = here(*arguments)
    assert code == 0 and "model.layers.1.mlp.down_proj" in text and "n/a" not in text


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "--quant"),
        (["--quant", "int9"], "unknown quantizer 'int9'"),
        (["--quant", "none", "--calib", "stdlb"], "unknown calibration set 'stdlb'"),
        (["--quant", "none", "--inputs", "stdlib:n=0"], "n must be 1 or more"),
        (["--quant", "none", "--model", "/no/such"], "there is no such folder"),
        (["--quant", "none", "--output", "/dev/null/x"], "/dev/null is no folder"),
    ],
)
def test_mistakes(arguments: list[str], part: str, here: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = here(*arguments)
    assert code == 2 and out == "" and len(err.splitlines()) == 1 and part in err, err


def test_figures_need_matplotlib(
    here: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, err = here("--quant", "none", "--output", tmp_path / "out")
    assert (code, out) == (2, "") and "pip install 'qharness[figures]'" in err and not (tmp_path / "out").exists()


def test_one_model_in_memory_at_a_time(random_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[weakref.ref[nn.Module]] = []

    def alone(*arguments: Any, **options: Any) -> LoadedModel:
        gc.collect()
        assert not [each for each in loaded if each() is not None]
        found = load_model(*arguments, **options)
        loaded.append(weakref.ref(found.model))
        return found

    monkeypatch.setattr("qharness.noise.noise_measurement.load_model", alone)
    monkeypatch.setattr("qharness.quantization.quantized_models.load_model", alone)
    found = measured(random_llama, "int8-dynamic", "none", "rtn", inputs="stdlib:n=1,seqlen=9", device="cpu")
    assert len(found) == 3 and len(loaded) == 4
    assert not list(cache_dir().glob("noise-*"))
