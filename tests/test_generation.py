from __future__ import annotations

from pathlib import Path

import pytest
import torch

from qharness import ModelError
from qharness.models import LoadedModel, load_model
from qharness.models.generation import Decoding, Generation, cut_at_stop
from qharness.models.lm import QHarnessLM
from qharness.models.sampling import Draw
from tests.tiny_models import CONFIGS, CONTEXT, make_model, save_model, tokenizer

PROMPTS = ["def f(x):\n", "a", "class Problem {\n    // Twice", "0123456789" * 7]


def complete(model: torch.nn.Module, batch: int, decoding: Decoding, seed: int = 0) -> list[str]:
    generation = Generation(model, tokenizer(), CONTEXT, seed)
    rows = [
        (generation.fit(tokenizer()(p)["input_ids"], decoding), Draw(d, s))
        for d, p in enumerate(PROMPTS)
        for s in (0, 1)
    ]
    texts = []
    for start in range(0, len(rows), batch):
        ids, draws = zip(*rows[start : start + batch], strict=True)
        texts += generation(ids, draws, decoding)
    return texts


@pytest.mark.parametrize("architecture", CONFIGS)
def test_batches_do_not_change_completions(architecture: str) -> None:
    model = make_model(architecture, sharp=True)
    decoding = Decoding(1.0, 0.9, 12, (), 1)
    one = complete(model, 1, decoding)
    assert complete(model, 3, decoding) == one
    assert complete(model, 8, decoding) == one
    assert complete(model, 3, decoding, seed=1) != one
    assert any(first != second for first, second in zip(one[::2], one[1::2], strict=True))


@pytest.mark.parametrize("architecture", ["llama", "codegen", "t5", "plbart"])
def test_greedy_is_what_generate_gives(architecture: str) -> None:
    model, text = make_model(architecture), PROMPTS[0]
    ids = torch.tensor([tokenizer()(text)["input_ids"]])
    expected = model.generate(ids, max_new_tokens=10, do_sample=False, num_beams=1, pad_token_id=0)
    start = 0 if model.config.is_encoder_decoder else ids.shape[1]
    decoding = Decoding.from_lm_eval({"max_gen_toks": 10}, 256)
    assert complete(model, 1, decoding)[0] == tokenizer().decode(expected[0, start:], skip_special_tokens=True)


def test_stops_at_text_of_the_generated_part_only() -> None:
    model = make_model("llama")
    free = complete(model, 8, Decoding(1.0, 1.0, 60, (), 1))
    stop = free[0][20:22]
    stopped = complete(model, 8, Decoding(1.0, 1.0, 60, (stop, "never there"), 1))
    assert stopped == [cut_at_stop(text, [stop]) for text in free]
    in_prompt = complete(model, 8, Decoding(1.0, 1.0, 60, ("def f",), 1))
    assert in_prompt[0] == free[0]


def test_generation_ends_soon_after_the_stop() -> None:
    model = make_model("llama")
    text = complete(model, 1, Decoding(0.0, 1.0, 40, (), 1))[0]
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    model.register_forward_hook(count)
    Generation(model, tokenizer(), CONTEXT, 0)(
        [tokenizer()(PROMPTS[0])["input_ids"]], [Draw(0, 0)], Decoding(0.0, 1.0, 400, (text[3],), 1)
    )
    assert calls < 60


def test_cut_at_stop_takes_the_first() -> None:
    assert cut_at_stop("a\nb\nclass", ["\nclass", "\nb"]) == "a"
    assert cut_at_stop("abc", []) == "abc"


def test_prompts_that_do_not_fit_are_cut_from_the_left_and_counted() -> None:
    generation = Generation(make_model("llama"), tokenizer(), 100, 0)
    short, tokens = Decoding(0.0, 1.0, 20, (), 1), list(range(4, 104))
    assert generation.fit(tokens[:80], short) == tokens[:80]
    assert generation.truncated == 0
    assert generation.fit(tokens, short) == tokens[20:]
    assert generation.fit(tokens[:60], Decoding(0.0, 1.0, 1000, (), 1)) == tokens[10:60]
    assert generation.truncated == 2
    assert len(complete(make_model("llama"), 8, Decoding(0.0, 1.0, 10_000, (), 1))) == 8


def test_options_of_lm_eval() -> None:
    read = Decoding.from_lm_eval
    assert read({"temperature": 0.2, "do_sample": True, "until": "x"}, 9) == Decoding(0.2, 1.0, 9, ("x",), 1)
    assert read({"temperature": 0.2, "do_sample": False}, 9).temperature == 0.0
    assert read({"max_new_tokens": 3, "num_beams": 4}, 9) == Decoding(0.0, 1.0, 3, (), 4)
    with pytest.raises(ModelError, match="'typical_p' is not supported"):
        read({"typical_p": 0.3}, 9)


def test_beam_search_runs() -> None:
    assert len(complete(make_model("plbart"), 4, Decoding(0.0, 1.0, 8, (), 3))) == 2 * len(PROMPTS)


def test_what_is_no_model_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/config.json").write_text('{"model_type": "no-such-type"}')
    for name, complaint in [
        (str(tmp_path), "config.json is missing"),
        (str(tmp_path / "nowhere"), "there is no such folder"),
        (str(tmp_path / "broken"), "could not be loaded"),
        ("no-such-organization/no-such-model", "could not be loaded"),
    ]:
        with pytest.raises(ModelError, match=complaint) as error:
            load_model(name)
        assert "\n" not in str(error.value)
    with pytest.raises(ModelError, match="--device cuda"):
        load_model(str(save_model("llama", tmp_path / "m")), device="cuda")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dtypes_load_and_generate(dtype: str, tmp_path: Path) -> None:
    loaded = load_model(str(save_model("llama", tmp_path)), dtype=dtype)
    assert loaded.model.dtype == getattr(torch, dtype)
    assert len(complete(loaded.model, 8, Decoding(0.5, 0.9, 4, (), 1))) == 8


def test_batch_size_and_default() -> None:
    loaded = LoadedModel(make_model("llama"), tokenizer(), "llama")
    assert QHarnessLM(loaded).batch_size == 16
    assert QHarnessLM(loaded, batch_size="4").batch_size == 4
