"""Steps that run without the model's Python give what the model gives; a model that this could change is not recorded."""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Iterator

import pytest
import torch
import transformers
from torch import nn

from qharness.models import recorded_step
from qharness.models.checkpoint_formats import select_kernels
from qharness.models.decoding import Decoding
from qharness.models.generation import Generation
from qharness.models.kv_cache import KeyValueStep
from qharness.models.loading import LoadedModel, load_model
from qharness.plugins.aqlm import code_lookup
from qharness.plugins.int8 import products
from qharness.plugins.int8.integer_grid import WeightGrid
from qharness.plugins.int8.linear import Int8Linear
from qharness.quantization.application import quantize
from tests.aqlm_models import with_random_codes
from tests.architectures import tiny
from tests.test_architectures import complete, generation

RECORDED = ["codegen", "falcon", "gemma3_text", "gpt2", "gpt_oss", "llama", "mixtral", "opt", "phi3", "qwen3_moe"]
NOT_RECORDED = ["gemma4_text", "mpt", "xglm"]
"""Of these transformers' code decides by what it is given."""
DRAWN = Decoding(0.7, 0.95, 24, (), 1)
PLACES, SAMPLES = 3, 2  # so that completions join and leave


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_step, "STEPS_BEFORE", 2)


def is_recorded(made: Generation) -> bool:
    assert isinstance(made.step, KeyValueStep)
    return any(each._record is not None for each in made.step._recorded.values())


def texts_by_the_model(model: transformers.PreTrainedModel) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded_step, "STEPS_BEFORE", 1 << 30)
        return complete(generation(model), DRAWN, PLACES, SAMPLES)


@pytest.mark.parametrize("kind", [*RECORDED, *NOT_RECORDED])
def test_completions_are_those_of_the_model(kind: str) -> None:
    model = tiny(kind)
    made = generation(model)
    assert complete(made, DRAWN, PLACES, SAMPLES) == texts_by_the_model(model)
    assert is_recorded(made) is (kind in RECORDED)


@pytest.mark.parametrize("scaling", ["dynamic", "longrope"])
def test_positions_that_are_scaled_by_a_texts_length_are_not_recorded_or_right(scaling: str) -> None:
    config = tiny("llama").config
    factors = {"short_factor": [1.0] * 4, "long_factor": [3.0] * 4} if scaling == "longrope" else {}
    rope = {"rope_type": scaling, "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 16, **factors}
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(**{**config.to_dict(), "rope_parameters": rope, "max_position_embeddings": 64})
    ).eval()
    assert complete(generation(model), DRAWN, PLACES, SAMPLES) == texts_by_the_model(model)


@pytest.mark.parametrize(
    "spec",
    [
        "int8-dynamic",
        *(pytest.param(spec, marks=pytest.mark.long) for spec in ("int8-dynamic:act_bits=4", "rtn:4")),
        "codes looked up",
    ],
)
def test_quantized_models_too(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_lookup, "_WORTH_COMPILING", 1)

    def texts(steps_before: int) -> tuple[list[str], bool]:
        loaded = load_model("tinycoder", "cpu", dtype="float32")
        if spec == "codes looked up":
            with_random_codes(loaded.model, 2, 9, 8)
            assert select_kernels(loaded.model) == {"lookup": 28}
        else:
            quantize(loaded, spec)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(recorded_step, "STEPS_BEFORE", steps_before)
            made = generation_of(loaded)
            return complete(made, DRAWN, PLACES, SAMPLES), is_recorded(made)

    plain, recorded = texts(1 << 30), texts(2)
    assert plain[0] == recorded[0] and not plain[1] and recorded[1]


def generation_of(loaded: LoadedModel) -> Generation:
    return Generation(loaded.model, loaded.tokenizer, 256, 0, ignore_eos=True)


@pytest.mark.parametrize("form", ["packed", "packed or plain", "packed, in halves", "plain", "simulated"])
def test_an_int8_layer_gives_the_same_by_any_kernel_while_it_is_recorded(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the number of rows it decides for speed only, and in a record not at all."""
    if form == "simulated":
        monkeypatch.setattr(products, "exact", lambda _: False)
    if form == "packed, in halves" and products.packed_form():
        monkeypatch.setattr(products, "packed_form", lambda: products.WeightOfHalves)
    layer = Int8Linear.from_linear(nn.Linear(2100, 40), WeightGrid(per_column=True))
    if form.startswith("packed"):
        layer.pack(keep=form == "packed or plain")
    generator = torch.Generator().manual_seed(0)
    few, many = torch.randn(3, 2100, generator=generator), torch.randn(200, 2100, generator=generator)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error", torch.jit.TracerWarning)
        record = torch.jit.trace(layer, (few,), check_trace=False)
        for rows in (few, many):
            assert torch.equal(record(rows), layer(rows))


class Deciding(nn.Module):
    """A layer that looks at a value."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 1e9 else x * 1.0


class Counting(nn.Module):
    """A layer that makes a list of as many tensors as it is given rows, which PyTorch does not warn of."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat(x.split(1))


@pytest.fixture
def with_layer(request: pytest.FixtureRequest) -> Iterator[transformers.PreTrainedModel]:
    model = tiny("llama")
    own = model.model.norm
    model.model.norm = nn.Sequential(own, request.param())
    yield model
    model.model.norm = own


@pytest.mark.parametrize("with_layer", [Deciding, Counting], indirect=True)
def test_a_layer_whose_work_depends_on_what_it_is_given_is_not_recorded(
    with_layer: transformers.PreTrainedModel,
) -> None:
    made = generation(with_layer)
    assert complete(made, DRAWN, PLACES, SAMPLES) == texts_by_the_model(with_layer)
    assert not is_recorded(made)


def test_a_record_that_fails_for_another_number_of_rows_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llama")
    failed: list[int] = []

    def fails(ids: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        failed.append(len(ids))
        raise RuntimeError("expected 2 rows")

    monkeypatch.setattr(recorded_step, "recorded", lambda *_: fails)
    made = generation(model)
    assert complete(made, DRAWN, PLACES, SAMPLES) == texts_by_the_model(model)
    assert len(failed) == 2, "once where rows share prompts, and once where they do not"


def test_a_watched_model_and_classes_of_others_are_not_recorded() -> None:
    class Remote(transformers.LlamaForCausalLM):
        """Somebody's own."""

    torch.manual_seed(0)
    remote = generation(Remote(tiny("llama").config).eval())
    complete(remote, DRAWN, PLACES)
    assert not is_recorded(remote)

    model, calls = tiny("llama"), []
    hook = model.model.norm.register_forward_hook(lambda *_: calls.append(1))
    watched = generation(model)
    complete(watched, DRAWN, PLACES)
    hook.remove()
    assert not is_recorded(watched) and len(calls) > 24


def test_a_record_does_not_keep_its_model() -> None:
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(tiny("llama").config).eval()
    weight = weakref.ref(model.model.layers[0].mlp.up_proj.weight)
    made = generation(model)
    complete(made, DRAWN, PLACES)
    assert is_recorded(made)
    del model, made
    gc.collect()
    assert weight() is None
