from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from qharness import ModelError
from qharness.models.decoding import Decoding, cut_at_stop
from qharness.models.engine import Prompt
from qharness.models.generation import Generation
from qharness.models.kv_cache import KeyValueStep
from qharness.models.lm import LoadedLM
from qharness.models.loading import LoadedModel, load_model
from qharness.models.sampling import SampleKey
from qharness.quantization.application import quantize
from tests.tiny_models import CONFIGS, CONTEXT, VOCABULARY, make_model, save_model, tokenizer

PROMPTS = ["def f(x):\n", "a", "class Problem {\n    // Twice", "0123456789" * 7]


def complete(model: torch.nn.Module, places: int, decoding: Decoding, seed: int = 0, samples: int = 3) -> list[str]:
    """The completions of all prompts, by prompt and sample."""
    generation = Generation(model, tokenizer(), CONTEXT, seed)
    prompts = [
        Prompt(
            generation.truncate_prompt(tokenizer()(text)["input_ids"], decoding),
            tuple(SampleKey(d, s) for s in range(samples)),
        )
        for d, text in enumerate(PROMPTS)
    ]
    made = {(number, draw.sample): text for number, draw, text in generation(prompts, decoding, places)}
    return [made[number, sample] for number in range(len(prompts)) for sample in range(samples)]


@pytest.mark.parametrize("quant", ["none", "int8-dynamic"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_batches_do_not_change_completions(architecture: str, quant: str) -> None:
    """Not one of them: there are no ties of rounding among these."""
    model = quantize(LoadedModel(make_model(architecture, sharp=True), tokenizer(), architecture), quant)
    decoding = Decoding(1.0, 0.9, 12, (), 1)
    one = complete(model, 1, decoding)
    assert complete(model, 3, decoding) == one
    assert complete(model, 8, decoding) == one
    assert complete(model, 3, decoding, seed=1) != one
    assert any(first != second for first, second in zip(one[::3], one[1::3], strict=True))


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
    prompt = Prompt(tuple(tokenizer()(PROMPTS[0])["input_ids"]), (SampleKey(0, 0),))
    list(Generation(model, tokenizer(), CONTEXT, 0)([prompt], Decoding(0.0, 1.0, 400, (text[3],), 1), 1))
    assert calls < 60


def test_cut_at_stop_takes_the_first() -> None:
    assert cut_at_stop("a\nb\nclass", ["\nclass", "\nb"]) == "a"
    assert cut_at_stop("abc", []) == "abc"


def test_prompts_that_do_not_fit_are_cut_from_the_left_and_counted() -> None:
    generation = Generation(make_model("llama"), tokenizer(), 100, 0)
    short, tokens = Decoding(0.0, 1.0, 20, (), 1), list(range(4, 104))
    assert generation.truncate_prompt(tokens[:80], short) == tuple(tokens[:80])
    assert generation.truncated == 0
    assert generation.truncate_prompt(tokens, short) == tuple(tokens[20:])
    assert generation.truncate_prompt(tokens[:60], Decoding(0.0, 1.0, 1000, (), 1)) == tuple(tokens[10:60])
    assert generation.truncated == 2
    assert len(complete(make_model("llama"), 8, Decoding(0.0, 1.0, 10_000, (), 1))) == 12


def test_options_of_lm_eval() -> None:
    read = Decoding.from_lm_eval
    assert read({"temperature": 0.2, "do_sample": True, "until": "x"}, 9) == Decoding(0.2, 1.0, 9, ("x",), 1)
    assert read({"temperature": 0.2, "do_sample": False}, 9).temperature == 0.0
    assert read({"max_new_tokens": 3, "num_beams": 4}, 9) == Decoding(0.0, 1.0, 3, (), 4)
    with pytest.raises(ModelError, match="'typical_p' is not supported"):
        read({"typical_p": 0.3}, 9)


def test_beam_search_runs() -> None:
    assert len(complete(make_model("plbart"), 4, Decoding(0.0, 1.0, 8, (), 3))) == 3 * len(PROMPTS)


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
    assert len(complete(loaded.model, 8, Decoding(0.5, 0.9, 4, (), 1))) == 12


def test_batches_are_as_large_as_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = LoadedModel(make_model("llama"), tokenizer(), "llama")
    assert LoadedLM(loaded, batch_size="4").asked == 4
    assert LoadedLM(loaded, batch_size="auto").asked is None
    generation, prompt = Generation(loaded.model, tokenizer(), CONTEXT, 0), Prompt((1,) * 100, (SampleKey(0, 0),))
    decoding = Decoding(0.0, 1.0, 100, (), 1)
    # Two layers of four heads of width 8 hold keys and values of four bytes: 512 bytes a token.
    row = 200 * 512 * 3 + VOCABULARY * 32
    for free, expected in ((2 * 8 * row, 8), (2 * 15 * row, 8), (100, 1), (1 << 40, 256)):
        monkeypatch.setattr("psutil.virtual_memory", lambda free=free: SimpleNamespace(available=free))
        assert generation.max_batch_size([prompt], decoding) == expected


def test_out_of_memory_halves_the_batch_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    """The CPU's allocator says so with this message; a real one would take the machine down."""
    model, decoding = make_model("llama"), Decoding(1.0, 1.0, 6, (), 1)
    expected = complete(model, 12, decoding)

    def refuse(module: torch.nn.Module, args: object, kwargs: dict[str, torch.Tensor]) -> None:
        if len(kwargs["input_ids"]) > 3:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes.")

    handle = model.register_forward_pre_hook(refuse, with_kwargs=True)
    assert complete(model, 12, decoding) == expected
    assert "out of memory: going on with 3 completions at a time" in capsys.readouterr().err
    handle.remove()
    model.register_forward_pre_hook(
        lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")), prepend=True
    )
    with pytest.raises(ModelError, match="--batch-size 1"):
        complete(model, 2, decoding)


@pytest.mark.parametrize(("architecture", "shares"), [("llama", True), ("llama", False), ("t5", False)])
def test_each_prompt_is_prefilled_once(architecture: str, shares: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many completions it gets, and however few of them fit at a time."""
    monkeypatch.setattr(KeyValueStep, "shares", shares)
    model, seen = make_model(architecture), 0
    prefilled = model.get_encoder() if model.config.is_encoder_decoder else model

    def count(module: torch.nn.Module, args: object, kwargs: dict[str, torch.Tensor]) -> None:
        nonlocal seen
        if kwargs["input_ids"].shape[1] > 1 or module is not model:
            seen += len(kwargs["input_ids"])

    prefilled.register_forward_pre_hook(count, with_kwargs=True)
    # "a" alone is one token long, so its prefill looks like a step of a decoder's.
    complete(model, 2, Decoding(1.0, 1.0, 5, (), 1), samples=7)
    assert seen == (len(PROMPTS) if model.config.is_encoder_decoder else len(PROMPTS) - 1)


@pytest.mark.parametrize("shares", [True, False])
def test_prompts_are_read_a_few_at_once(shares: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that short ones are not padded to the longest, and what is computed of each stays in the processor's cache."""
    monkeypatch.setattr(KeyValueStep, "shares", shares)
    model, read = make_model("llama", sharp=True), list[tuple[int, int]]()
    decoding = Decoding(1.0, 0.9, 6, (), 1)
    together = complete(model, 12, decoding)

    def count(module: torch.nn.Module, args: object, kwargs: dict[str, torch.Tensor]) -> None:
        rows, width = kwargs["input_ids"].shape
        if width > 1:
            read.append((rows, width))

    model.register_forward_pre_hook(count, with_kwargs=True)
    assert complete(model, 12, decoding) == together and len(read) == 1 and read[0][0] == 4
    read.clear()
    monkeypatch.setattr("qharness.models.engine._PREFILL_TOKENS", 30)
    assert complete(model, 12, decoding) == together
    assert [rows for rows, _ in read] == [2, 1, 1], "the last two are longer than 30 tokens together"


def test_finished_rows_leave_and_others_take_their_places() -> None:
    """Completions of uneven lengths take about as many row-steps as they have tokens."""
    model, row_steps = make_model("llama"), 0
    model.generation_config.eos_token_id = list(range(4, 24))

    def count(module: torch.nn.Module, args: object, kwargs: dict[str, torch.Tensor]) -> None:
        nonlocal row_steps
        if kwargs["input_ids"].shape[1] == 1:
            row_steps += len(kwargs["input_ids"])

    model.register_forward_pre_hook(count, with_kwargs=True)
    texts = complete(model, 8, Decoding(1.0, 1.0, 100, (), 1), samples=30)
    tokens = [len(tokenizer()(text)["input_ids"]) + 1 for text in texts]
    assert max(tokens) > 3 * sum(tokens) / len(tokens)
    assert row_steps < 1.6 * sum(tokens)


def test_a_checkpoints_own_penalties_are_reported_and_not_used() -> None:
    model = make_model("llama")
    expected = complete(model, 4, Decoding(0.0, 1.0, 20, (), 1))
    model.generation_config.repetition_penalty = 50.0
    model.generation_config.temperature = 0.3
    assert Generation(model, tokenizer(), CONTEXT, 0).unused_settings() == ["repetition_penalty=50.0"]
    assert complete(model, 4, Decoding(0.0, 1.0, 20, (), 1)) == expected
