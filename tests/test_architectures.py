"""Completions of each architecture of transformers, in a batch, are what transformers' `generate` gives for each alone."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from qharness import ModelError
from qharness.models.decoding import Decoding
from qharness.models.engine import Prompt
from qharness.models.fallback_steps import RecomputeStep, TransformersCacheStep
from qharness.models.generation import Generation
from qharness.models.kv_cache import KeyValueStep
from qharness.models.model_step import candidate_step, step_difference
from qharness.models.sampling import SampleKey
from tests.architectures import CONTEXT, ENCODERS_AND_DECODERS, NOT_TRIED, REFUSED, VOCABULARY, WINDOW, tiny
from tests.conftest import REPOSITORY

TRIED = [kind for kind in [*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *ENCODERS_AND_DECODERS] if kind not in NOT_TRIED]
FAST = [
    "bailing_hybrid",
    "bamba",
    "bart",
    "bloom",
    "codegen",
    "cohere2",
    "cpmant",
    "deepseek_v2",
    "deepseek_v3",
    "deepseek_v32",
    "deepseek_v4",
    "falcon",
    "falcon_h1",
    "falcon_mamba",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gemma4_text",
    "glm",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox",
    "gpt_oss",
    "gptj",
    "granite",
    "granitemoehybrid",
    "jamba",
    "kimi_linear",
    "lfm2",
    "llama",
    "llama4_text",
    "longcat_flash",
    "mamba",
    "mamba2",
    "marian",
    "mimo_v2_flash",
    "minimax",
    "ministral",
    "mistral",
    "mixtral",
    "mpt",
    "nemotron_h",
    "olmo2",
    "olmoe",
    "opt",
    "phi",
    "phi3",
    "plbart",
    "qwen2",
    "qwen2_moe",
    "qwen3",
    "qwen3_moe",
    "qwen3_next",
    "recurrent_gemma",
    "roberta",
    "rwkv",
    "stablelm",
    "starcoder2",
    "t5",
    "trocr",
    "xglm",
    "zamba2",
]
_OF_GENERATE = {"xlnet": {"use_mems": False}, "moshi": {"use_cache": False}}
"""Where transformers' own caches give something else than the whole text does, `generate` does without them too."""

_generator = torch.Generator().manual_seed(1)
PROMPTS = [
    torch.randint(4, VOCABULARY, (length,), generator=_generator).tolist() for length in (3, 11, 2 * WINDOW + 3, 11)
]
NEW = 7


def letters() -> transformers.PreTrainedTokenizerFast:
    """A letter a token and nothing special, so that a completion's text is its tokens."""
    vocabulary = {chr(0x4E00 + number): number for number in range(VOCABULARY)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=chr(0x4E00)))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    backend.decoder = decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False)


def generation(model: transformers.PreTrainedModel) -> Generation:
    """Of completions that nothing ends."""
    return Generation(model, letters(), CONTEXT, 0, ignore_eos=True)


def complete(made: Generation, decoding: Decoding, places: int, samples: int = 1) -> list[str]:
    """The completions of all prompts, by prompt and sample."""
    prompts = [
        Prompt(tuple(ids), tuple(SampleKey(number, sample) for sample in range(samples)))
        for number, ids in enumerate(PROMPTS)
    ]
    texts = {(number, draw.sample): text for number, draw, text in made(prompts, decoding, places)}
    return [text for _, text in sorted(texts.items())]


def generated(made: Generation, beams: int = 1) -> list[str]:
    """What transformers makes of each prompt alone."""
    model, texts = made.model, []
    kind = model.config.model_type
    for ids in PROMPTS:
        config = transformers.GenerationConfig(
            max_new_tokens=NEW, do_sample=False, num_beams=beams, early_stopping=False, pad_token_id=0,
            decoder_start_token_id=made.decoder_start_token_id, use_cache=made.step.caches,
        )  # fmt: skip
        own, model.generation_config = model.generation_config, transformers.GenerationConfig()
        row = torch.tensor([ids])
        found = model.generate(
            row, attention_mask=torch.ones_like(row), generation_config=config, **_OF_GENERATE.get(kind, {})
        )
        model.generation_config = own
        texts.append(letters().decode(found[0, 1 if model.config.is_encoder_decoder else len(ids) :]))
    return texts


def documented() -> dict[str, tuple[str, str]]:
    """docs/models.md: of each model type, its class and how it runs; or why it is not tried."""
    page = (REPOSITORY / "docs/models.md").read_text(encoding="utf-8")
    return {
        kind: (name, way) for kind, name, way in re.findall(r"^\| `([\w-]+)` \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    }


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=() if kind in FAST else pytest.mark.slow) for kind in TRIED])
def test_greedy_completions_are_those_of_generate(kind: str) -> None:
    """Of prompts of different lengths at a time, some longer than a sliding window; the docs say how each is run."""
    model = tiny(kind)
    made = generation(model)
    made.check()
    greedy = Decoding(0.0, 1.0, NEW, (), 1)
    assert complete(made, greedy, 8) == generated(made)
    assert made.max_batch_size([Prompt(tuple(PROMPTS[0]), (SampleKey(0, 0),))], greedy) > 1
    assert documented()[kind] == (f"`{type(model).__name__}`", made.step.label)


def test_at_least_forty_architectures_are_fast() -> None:
    assert len(FAST) >= 40
    assert set(FAST) <= set(TRIED)


@pytest.mark.skipif(not transformers.__version__.startswith("5.23"), reason="the table is of transformers 5.23")
def test_the_table_has_every_causal_architecture() -> None:
    assert set(documented()) == {*TRIED, *NOT_TRIED, *REFUSED}
    assert {kind: way for kind, (_, way) in documented().items() if kind in NOT_TRIED} == NOT_TRIED


@pytest.mark.parametrize("kind", ["mamba2", "zamba2", "qwen3_next", "recurrent_gemma", "rwkv", "deepseek_v32", "bamba"])
def test_sampled_completions_do_not_depend_on_the_batch(kind: str) -> None:
    """Though rows of a state are copied for the samples of a prompt, and moved as others end."""
    made, decoding = generation(tiny(kind)), Decoding(1.0, 0.9, NEW, (), 1)
    one = complete(made, decoding, 1, samples=3)
    assert complete(made, decoding, 2, samples=3) == one
    assert complete(made, decoding, 16, samples=3) == one
    assert len(set(one)) > len(PROMPTS)


@pytest.mark.parametrize("kind", ["mamba", "jamba", "recurrent_gemma", "rwkv"])
def test_beams_of_recurrent_models_are_those_of_generate(kind: str) -> None:
    made = generation(tiny(kind))
    assert complete(made, Decoding(0.0, 1.0, NEW, (), 3), 8) == generated(made, beams=3)


@pytest.mark.parametrize("kind", ["trocr", "recurrent_gemma"])
def test_steps_that_forget_are_found_before_anything_is_made(kind: str) -> None:
    """TrOCR counts padding as positions; RecurrentGemma keeps its state in its modules, where rows cannot be moved."""
    model = tiny(kind)
    candidate, recompute = candidate_step(model, 0), RecomputeStep(model, 0)
    assert not isinstance(candidate, RecomputeStep)
    with torch.inference_mode():
        assert step_difference(candidate, recompute, PROMPTS[1]) > 0.25
    assert isinstance(generation(model).step, RecomputeStep)


def test_classes_of_others_are_tried_and_transformers_own_are_not() -> None:
    """A model like Mamba that takes `past_key_values`, and loses them among its other arguments."""

    class Remote(transformers.MambaForCausalLM):
        def forward(self, input_ids, past_key_values=None, position_ids=None, use_cache=None, **_):  # type: ignore[no-untyped-def]
            return super().forward(input_ids=input_ids, use_cache=False)

    torch.manual_seed(0)
    remote = Remote(tiny("mamba").config).eval()
    remote.load_state_dict(tiny("mamba").state_dict())
    assert not isinstance(candidate_step(remote, 0), RecomputeStep)
    lost, right = generation(remote), generation(tiny("mamba"))
    assert isinstance(lost.step, RecomputeStep)
    assert isinstance(right.step, TransformersCacheStep)
    assert isinstance(generation(tiny("llama")).step, KeyValueStep)
    greedy = Decoding(0.0, 1.0, NEW, (), 1)
    assert complete(lost, greedy, 8) == complete(right, greedy, 8)


@pytest.mark.parametrize("name", ["past_key_values", "cache"])
def test_the_cache_is_used_by_whatever_name_the_model_takes_it(name: str) -> None:
    """transformers 5.24 gave the parameter another name; without the cache every token costs a whole text."""
    model, inputs = tiny("llama"), ["input_ids", "attention_mask", "position_ids", "use_cache", "logits_to_keep"]
    seen: list[int] = []

    def forward(**given: Any) -> Any:
        seen.append(given["input_ids"].shape[1])
        own = next(
            each for each in ("past_key_values", "cache") if each in inspect.signature(type(model).forward).parameters
        )
        return type(model).forward(model, **{own: given.pop(name)}, **given)

    parameters = [inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY) for each in (*inputs, name)]
    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "forward", forward, raising=False)
        chosen = generation(model)
        assert isinstance(chosen.step, KeyValueStep)
        made = complete(chosen, Decoding(0.0, 1.0, NEW, (), 1), 8)
        assert set(seen[1:]) == {1}
    assert made == complete(generation(tiny("llama")), Decoding(0.0, 1.0, NEW, (), 1), 8)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_run_is_refused_in_one_line(kind: str) -> None:
    model = tiny(kind)
    with pytest.raises(ModelError, match=f"{type(model).__name__} cannot complete plain text: ") as error:
        generation(model).check()
    assert "\n" not in str(error.value)
