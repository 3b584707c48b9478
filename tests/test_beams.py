"""Beam search, against transformers' own of one prompt at a time."""

from __future__ import annotations

import pytest
import torch

from qharness import ModelError
from qharness.models.decoding import Decoding
from qharness.models.engine import Prompt
from qharness.models.generation import Generation
from qharness.models.sampling import SampleKey
from tests.tiny_models import CONTEXT, make_model, tokenizer

PROMPTS = ["def f(x): return x", "a", "class Problem : pass", "0123456789" * 7, "z = 1"]
ENDS = list(range(4, 24))


def search(model: torch.nn.Module, places: int, decoding: Decoding, max_length: int = CONTEXT) -> list[str]:
    generation = Generation(model, tokenizer(), max_length, 0)
    prompts = [
        Prompt(generation.truncate_prompt(tokenizer()(text)["input_ids"], decoding), (SampleKey(number, 0),))
        for number, text in enumerate(PROMPTS)
    ]
    return [text for _, _, text in sorted(generation(prompts, decoding, places), key=lambda made: made[0])]


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("architecture", ["t5", "plbart", "llama", "codegen"])
def test_beams_are_those_of_generate_in_any_batch(architecture: str, early_stopping: bool) -> None:
    model = make_model(architecture, sharp=True)
    model.generation_config.eos_token_id = ENDS  # so that texts end, at different lengths
    expected = []
    for text in PROMPTS:
        ids = torch.tensor([tokenizer()(text)["input_ids"]])
        made = model.generate(
            ids, max_new_tokens=9, num_beams=4, do_sample=False, early_stopping=early_stopping, pad_token_id=0
        )
        made = made[0, 1 if model.config.is_encoder_decoder else ids.shape[1] :].tolist()
        end = next((n for n, token in enumerate(made) if token in ENDS), None)
        expected.append(tokenizer().decode(made[:end], skip_special_tokens=True))
    decoding = Decoding.from_lm_eval({"num_beams": 4, "early_stopping": early_stopping, "max_gen_toks": 9}, 256)
    for places in (1, 3, 8):
        assert search(model, places, decoding) == expected
    greedy = search(model, 8, Decoding.from_lm_eval({"max_gen_toks": 9}, 256))
    assert greedy != expected  # searching found something else for at least one


def test_a_short_context_limits_each_prompt_by_its_own_length() -> None:
    """Not by the longest in its batch."""
    model, decoding = make_model("llama", sharp=True), Decoding.from_lm_eval({"num_beams": 2, "max_gen_toks": 90}, 256)
    one = search(model, 1, decoding, max_length=100)
    assert search(model, 8, decoding, max_length=100) == one
    assert len(set(map(len, one))) > 1


def test_a_checkpoints_own_search_settings_are_not_used() -> None:
    model, decoding = make_model("t5", sharp=True), Decoding.from_lm_eval({"num_beams": 3, "max_gen_toks": 12}, 256)
    expected = search(model, 8, decoding)
    model.generation_config.no_repeat_ngram_size = 1
    model.generation_config.length_penalty = 9.0
    assert search(model, 8, decoding) == expected


def test_drawing_and_searching_exclude_each_other() -> None:
    with pytest.raises(ModelError, match=r"temperature 0\.2 draws tokens, num_beams 10 searches"):
        Decoding.from_lm_eval({"num_beams": 10, "temperature": 0.2, "do_sample": True}, 256)
    assert Decoding.from_lm_eval({"num_beams": 10, "do_sample": False}, 256).temperature == 0.0


def test_beams_count_as_rows() -> None:
    model = make_model("t5")
    generation, prompt = Generation(model, tokenizer(), CONTEXT, 0), Prompt((1,) * 9, (SampleKey(0, 0),))
    alone, ten = (generation.max_batch_size([prompt], Decoding(0.0, 1.0, 9, (), beams)) for beams in (1, 10))
    assert (alone, ten) == (256, 16), "the power of two below a tenth"
