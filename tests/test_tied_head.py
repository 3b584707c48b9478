"""Output heads that share the embeddings' weights, and are quantized as a copy of these if that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from torch import nn

from qharness import ModelError, head_linear, untie_head
from qharness.models.blocks import says_tied, shares_head
from qharness.models.loading import load_model
from qharness.quantization.checkpoint_export import export_checkpoint
from tests.aqlm_models import logits
from tests.asked import bound
from tests.test_int8_static import quantized
from tests.tiny_architectures import make
from tests.tiny_models import make_model, tokenizer

MODELS: dict[str, Callable[[], transformers.PreTrainedModel]] = {
    "xglm": lambda: make_model("xglm", sharp=True),
    "Gemma 3": lambda: make("Gemma 3"),
}


@pytest.mark.parametrize(
    "spec", ["int8-dynamic:", "int8-dynamic:per-column,", "int8-dynamic:activations=tensor,", "int8-static:"]
)
@pytest.mark.parametrize("name", MODELS)
def test_the_head_is_quantized_and_the_embeddings_are_not(name: str, spec: str) -> None:
    full = MODELS[name]()
    plain, copied = (quantized(MODELS[name](), f"{spec}tied_head={choice}")[0] for choice in ("false", "true"))
    assert shares_head(plain) and not shares_head(copied)
    assert type(copied.lm_head) is not nn.Linear
    weight = full.get_input_embeddings().weight
    assert torch.equal(copied.get_input_embeddings().weight, weight)
    states = torch.randn(5, weight.shape[1], generator=torch.Generator().manual_seed(0))
    wanted = states @ weight.T
    assert 0 < (copied.lm_head(states) - wanted).norm() / wanted.norm() < 0.02
    assert (logits(copied) - logits(plain)).norm() < 0.02 * logits(full).norm()


def test_it_has_the_same_weights_until_it_is_quantized() -> None:
    model = MODELS["xglm"]()
    before = logits(model)
    assert not head_linear(model)
    untie_head(model)
    assert list(head_linear(model)) == ["lm_head"] and torch.equal(logits(model), before)
    assert model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    model.tie_weights()  # as transformers does after it loaded or moved a model
    assert list(head_linear(model)) == ["lm_head"]


def test_many_configurations_say_nothing_of_it() -> None:
    assert not says_tied(transformers.PretrainedConfig())
    assert says_tied(MODELS["xglm"]().config)


def test_a_head_of_its_own_stays_as_it_is() -> None:
    model = make_model("llama")
    weight = model.lm_head.weight
    untie_head(model)
    assert model.lm_head.weight is weight


def test_an_encoder_decoder_models_is_left() -> None:
    with pytest.raises(ModelError, match="T5ForConditionalGeneration is an encoder-decoder model"):
        quantized(make_model("t5"), "int8-dynamic:tied_head=true")


def test_a_checkpoint_is_loaded_again_and_its_parent_stays_tied(tmp_path: Path) -> None:
    MODELS["Gemma 3"]().save_pretrained(tmp_path / "full")
    tokenizer().save_pretrained(tmp_path / "full")
    export_checkpoint(bound(tmp_path / "full", "int8-dynamic:tied_head=true"), tmp_path / "int8")
    wanted, _ = quantized(load_model(str(tmp_path / "full"), "cpu").model, "int8-dynamic:tied_head=true")
    found = load_model(str(tmp_path / "int8"), "cpu").model
    assert torch.equal(logits(found), logits(wanted))
    assert shares_head(load_model(str(tmp_path / "full"), "cpu").model)
