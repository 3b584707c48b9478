"""Logits that are no numbers are an error that names a layer, wherever logits are used."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from lm_eval.api.instance import Instance

from qharness import ModelError
from qharness.models.decoding import Decoding
from qharness.models.engine import Prompt
from qharness.models.generation import Generation
from qharness.models.lm import LoadedLM
from qharness.models.loading import LoadedModel
from qharness.models.nonfinite import rows_not_finite
from qharness.models.sampling import SampleKey
from qharness.noise.forward_passes import full_precision
from tests.tiny_models import CONTEXT, VOCABULARY, make_model, tokenizer

PROMPTS = [Prompt((70, 71, 72), (SampleKey(0, 0), SampleKey(0, 1))), Prompt((80, 81), (SampleKey(1, 0),))]
LAYERS = {
    "llama": "model.layers.1.mlp.down_proj",
    "codegen": "transformer.h.1.mlp.fc_out",
    "t5": "decoder.block.1.layer.2.DenseReluDense.wo",
    "plbart": "model.decoder.layers.1.fc2",
}


def damaged(architecture: str, value: float = math.nan) -> torch.nn.Module:
    """A model one of whose weights holds something that is no number."""
    model = make_model(architecture)
    with torch.no_grad():
        model.get_submodule(LAYERS[architecture]).weight[3, 4] = value
    return model


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("architecture", LAYERS)
def test_the_error_names_the_layer(architecture: str, beams: int) -> None:
    for value in (math.nan, math.inf):
        generation = Generation(damaged(architecture, value), tokenizer(), CONTEXT, 0)
        with pytest.raises(ModelError) as error:
            list(generation(PROMPTS, Decoding(0.0, 1.0, 5, (), beams), 4))
        assert f"the layer {LAYERS[architecture]}; its weight is not finite either" in str(error.value)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("architecture", ["llama", "t5"])
def test_an_overflow_in_the_middle_of_a_completion_is_found(architecture: str, beams: int) -> None:
    """At a token that the prompt does not hold: its logits are finite, those after it are not."""
    model, decoding = make_model(architecture, sharp=True), Decoding(0.0, 1.0, 30, (), beams)
    generation = Generation(model, tokenizer(), CONTEXT, 0, ignore_eos=True)
    assert list(generation(PROMPTS, decoding, 4))
    embedding = model.get_decoder().get_input_embeddings()
    embedding.weight = torch.nn.Parameter(embedding.weight.detach().clone())  # the logits' own stays as it is
    with torch.no_grad():
        for token in set(range(1, VOCABULARY)) - {generation.decoder_start_token_id, *PROMPTS[0].ids, *PROMPTS[1].ids}:
            embedding.weight[token] = math.inf
    (name, *_) = [name for name, module in model.named_modules(remove_duplicate=False) if module is embedding]
    with pytest.raises(ModelError, match=f"layer {name}; its weight is not finite"):
        list(generation(PROMPTS, decoding, 4))


def test_a_range_that_is_too_small_is_said_to_be() -> None:
    """Weights are finite, and their products overflow in float16."""
    model = make_model("llama")
    with torch.no_grad():
        for name in ("gate_proj", "up_proj"):
            model.model.layers[0].mlp.get_submodule(name).weight.mul_(3e4)
    with pytest.raises(ModelError, match=r"model\.layers\.0\.mlp.*the range of float16 may be too small"):
        list(Generation(model.half(), tokenizer(), CONTEXT, 0)(PROMPTS, Decoding(1.0, 1.0, 5, (), 1), 4))


def test_tokens_that_a_model_rules_out_are_no_error() -> None:
    model = make_model("llama")
    model.lm_head.register_forward_hook(
        lambda _module, _args, output: output.index_fill(-1, torch.tensor([5, 6]), -math.inf)
    )
    assert len(list(Generation(model, tokenizer(), CONTEXT, 0)(PROMPTS, Decoding(1.0, 0.9, 5, (), 1), 4))) == 3
    rows = torch.zeros(4, 3)
    rows[1, 0], rows[2], rows[3, 2] = -math.inf, -math.inf, math.nan
    assert rows_not_finite(rows) == [2, 3]


def test_a_model_is_refused_before_a_run_makes_anything() -> None:
    with pytest.raises(ModelError, match=LAYERS["llama"]):
        LoadedLM(LoadedModel(damaged("llama"), tokenizer(), "damaged"))


def test_loglikelihoods_and_noise_do_not_go_on_with_nan(tmp_path: Path) -> None:
    lm = LoadedLM(LoadedModel(make_model("llama"), tokenizer(), "llama"))
    request = Instance("loglikelihood", {}, ("def f(x):", " return x"), 0)
    assert math.isfinite(lm.loglikelihood([request], disable_tqdm=True)[0][0])
    with torch.no_grad():
        lm.model.get_submodule(LAYERS["llama"]).weight[0, 0] = math.nan
    with pytest.raises(ModelError, match=LAYERS["llama"]):
        lm.loglikelihood([request], disable_tqdm=True)
    with pytest.raises(ModelError, match=LAYERS["llama"]):
        full_precision(lm.model, [torch.tensor([70, 71, 72])], tmp_path)
