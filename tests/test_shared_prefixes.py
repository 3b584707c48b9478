"""Completions of a prompt share its keys and values, and are what they are with copies of them."""

from __future__ import annotations

import random

import pytest
import torch
from torch.nn import functional

from qharness.models import prefix_attention, recorded_step
from qharness.models.decoding import Decoding
from qharness.models.engine import Prompt
from qharness.models.generation import Generation
from qharness.models.growing_cache import GrowingCache
from qharness.models.kv_cache import KeyValueState, KeyValueStep
from qharness.models.prefix_attention import PrefixAttention
from qharness.models.sampling import SampleKey
from tests.architectures import tiny
from tests.test_architectures import PROMPTS, generation

SHARING = ["falcon", "gpt2", "gpt_neox", "llama", "olmo2", "opt", "phi", "qwen2_moe", "qwen3", "stablelm"]
COPYING = ["bloom", "codegen", "gemma2", "gemma3_text", "mistral", "starcoder2", "deepseek_v3", "xglm"]
"""Of windows, of positions that count in the scores, or of an attention of their own."""


def texts(made: Generation, samples: int, places: int) -> list[str]:
    """Completions of all lengths, by prompt and sample, so that rows begin and end at different times."""
    found = {}
    for most in (5, 17):
        prompts = [
            Prompt(tuple(ids), tuple(SampleKey(number, sample) for sample in range(samples)))
            for number, ids in enumerate(PROMPTS)
        ]
        for number, key, text in made(prompts, Decoding(0.8, 0.95, most, (chr(0x4E00 + 9),), 1), places):
            found[most, number, key.sample] = text
    return [text for _, text in sorted(found.items())]


@pytest.mark.parametrize("kind", [*SHARING, *COPYING])
def test_completions_are_those_of_copies(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = generation(tiny(kind))
    assert isinstance(made.step, KeyValueStep)
    assert made.step.shares is (kind in SHARING)
    found = texts(made, 5, 4)
    monkeypatch.setattr(KeyValueStep, "shares", False)
    assert found == texts(generation(tiny(kind)), 5, 4)


@pytest.fixture
def pairs_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are multiplied in twos, each from where the older of them began; in a record too."""
    monkeypatch.setattr(prefix_attention, "_TOGETHER", 2)


@pytest.mark.parametrize("steps_before", [2, 1 << 30])
def test_completions_of_many_rows(steps_before: int, pairs_together: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_step, "STEPS_BEFORE", steps_before)
    made = generation(tiny("llama"))
    found = texts(made, 5, 9)
    assert isinstance(made.step, KeyValueStep)
    assert (made.step._recorded[True]._record is not None) is (steps_before == 2)
    monkeypatch.setattr(KeyValueStep, "shares", False)
    assert found == texts(generation(tiny("llama")), 5, 9)


def test_single_samples_share_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> KeyValueState:
        raise AssertionError

    made = generation(tiny("llama"))
    assert isinstance(made.step, KeyValueStep) and made.step.shares
    monkeypatch.setattr(KeyValueState, "shared", refuse)
    texts(made, 1, 4)
    with pytest.raises(AssertionError):
        texts(made, 2, 4)


@torch.inference_mode()
def test_a_prompt_is_held_once_whenever_its_rows_begin() -> None:
    step = generation(tiny("llama")).step
    assert isinstance(step, KeyValueStep)
    first, second = step.prefill([PROMPTS[2]]), step.prefill([PROMPTS[0]])
    state = first.shared([2], [6])
    alone = held(state)
    for _ in range(3):
        state = state.advance(torch.full((len(state),), 7), torch.ones(len(state), dtype=torch.bool))
    state = state.join([first.shared([2], [3]), second.shared([0], [2])])
    assert state.prefixes is not None and sorted(state.prefixes.names) == [0, 2]
    assert held(state) == 2 * alone, "the shorter prompt is padded to the longer"
    state = state.take([9, 10])
    assert state.prefixes is not None and state.prefixes.names == (0,)
    assert held(state) == alone * len(PROMPTS[0]) // len(PROMPTS[2])


def held(state: KeyValueState) -> int:
    """Bytes of the prompts' keys and values."""
    assert isinstance(state.cache, GrowingCache)
    return sum(each.nbytes for pair in state.cache.prefixes for each in pair)


@torch.inference_mode()
def test_rows_that_join_and_leave_at_random_have_their_own_logits(pairs_together: None) -> None:
    """Against a batch of copies, through forty random steps."""
    step, draw = generation(tiny("llama")).step, random.Random(5)
    assert isinstance(step, KeyValueStep)
    read = [step.prefill([ids]) for ids in PROMPTS]
    sharing, copying = read[0].shared([0], [2]), read[0].take([0, 0])
    for _ in range(40):
        match draw.choice(["advance", "advance", "join", "take"]):
            case "join" if len(copying) < 12:
                number, count = draw.randrange(len(read)), draw.randint(1, 4)
                sharing = sharing.join([read[number].shared([number], [count])])
                copying = copying.join([read[number].take([0] * count)])
            case "take" if len(copying) > 2:
                rows = draw.sample(range(len(copying)), draw.randint(1, len(copying) - 1))
                sharing, copying = sharing.take(rows), copying.take(rows)
            case _:
                tokens = torch.tensor([draw.randrange(4, 200) for _ in range(len(copying))])
                alive = torch.tensor([draw.random() < 0.9 for _ in range(len(copying))])
                sharing, copying = sharing.advance(tokens, alive), copying.advance(tokens, alive)
                if not alive.all():  # rows that have ended are never looked at again
                    rows = alive.nonzero().flatten().tolist() or [0]
                    sharing, copying = sharing.take(rows), copying.take(rows)
        if alive_rows(copying):
            assert torch.allclose(sharing.logits, copying.logits, atol=1e-4, rtol=1e-4)


def alive_rows(state: KeyValueState) -> bool:
    return bool(state.mask[:, -1].all())


@pytest.mark.parametrize("mask", ["bool", "float", "none"])
@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (6, 2)])
@pytest.mark.parametrize("together", [2, 32])
def test_attention_is_pytorchs_over_both_parts(
    mask: str, heads: int, key_heads: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefix_attention, "_TOGETHER", together)
    generator = torch.Generator().manual_seed(3)
    owner = torch.tensor([1, 0, 1, 1, 2])
    prefix = torch.randn(2, 3, key_heads, 7, 8, generator=generator)
    own = torch.randn(2, 5, key_heads, 4, 8, generator=generator)
    query = torch.randn(5, heads, 1, 8, generator=generator)
    allowed = torch.rand(5, 1, 1, 11, generator=generator) < 0.8
    allowed[:4, ..., 7:9] = False  # the fifth row began two positions before the others
    allowed[..., -1] = True
    given = {"bool": allowed, "float": torch.where(allowed, 0.0, -torch.inf), "none": None}[mask]
    attention = PrefixAttention.of(owner, 3)
    attention.expect(*prefix)
    found = attention(query, *own, attn_mask=given, scale=0.3, enable_gqa=heads != key_heads)
    keys, values = torch.cat([prefix[:, owner], own], dim=-2)
    wanted = functional.scaled_dot_product_attention(
        query, keys, values, attn_mask=given, scale=0.3, enable_gqa=heads != key_heads
    )
    assert torch.allclose(found, wanted, atol=1e-6)


def test_a_layer_that_attends_otherwise_is_an_error_that_the_trial_sees() -> None:
    attention, part = PrefixAttention.of(torch.tensor([0]), 1), torch.ones(1, 1, 2, 4)
    with pytest.raises(NotImplementedError):
        attention(part, part, part)
    attention.expect(part, part)
    with pytest.raises(NotImplementedError):
        attention.expect(part, part)


@pytest.mark.parametrize(("distances", "shares"), [([0.2, 0.1, 1e-6], True), ([0.2] * 6, False)])
def test_a_text_in_which_rounding_differs_does_not_decide(
    distances: list[float], shares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In int8 an activation that is rounded to its neighbour moves all that follow: by a tenth in SmolLM2."""
    each = iter(distances)
    monkeypatch.setattr(KeyValueStep, "_sharing_distance", lambda _, text: next(each))
    step = generation(tiny("llama")).step
    assert isinstance(step, KeyValueStep) and step.shares is shares
