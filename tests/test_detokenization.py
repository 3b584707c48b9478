"""What a completion's text is, with the real tokenizer classes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from qharness.models.decoding import Decoding
from qharness.models.detokenization import CompletionText, Detokenizer
from qharness.models.encoding import encode_text
from qharness.models.engine import Prompt
from qharness.models.generation import Generation
from qharness.models.sampling import SampleKey
from qharness.models.special_tokens import EndTokens
from tests.tiny_tokenizers import ALL, gemma, gpt2, t5, tokens_of

PROMPT, BODY = "def f(a, b):\n", "    return a + b\n\nclass Problem:\n    pass"
TEXTS = st.text(st.sampled_from(" \n\t#()+:=abcdefrtu你好é😀\ufffd"), max_size=24)
MADE = {name: make() for name, make in ALL.items()}
CAUSAL = [name for name in ALL if name != "t5"]


def text_of(tokenizer: PreTrainedTokenizerBase, prompt: list[int], tokens: list[int]) -> str:
    return CompletionText(Detokenizer(tokenizer), prompt).of(tokens)


class Writer(LlamaForCausalLM):
    """A Llama that says, after each of the given tokens, the next of them, in place of what its weights say."""

    def __init__(self, vocabulary: int, said: list[int], prompt_length: int) -> None:
        super().__init__(
            LlamaConfig(
                vocab_size=vocabulary, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                bos_token_id=None, eos_token_id=None, pad_token_id=None,
            )
        )  # fmt: skip
        self.said, self.prompt_length = said, prompt_length
        self.eval()

    def forward(self, input_ids=None, past_key_values=None, position_ids=None, **others):  # type: ignore[no-untyped-def]
        given = {"input_ids": input_ids, "past_key_values": past_key_values, "position_ids": position_ids}
        read = (past_key_values.get_seq_length() if past_key_values else 0) + input_ids.shape[1]
        lengths = [read] * len(input_ids) if position_ids is None else (position_ids[:, -1] + 1).tolist()
        output = super().forward(**given, **others)
        output.logits = torch.zeros_like(output.logits)
        for row, length in zip(output.logits, lengths, strict=True):
            row[..., self.said[max(0, min(length - self.prompt_length, len(self.said) - 1))]] = 50.0
        return output


def generated(
    tokenizer: PreTrainedTokenizerBase, prompt: str, said: list[int], until: tuple[str, ...] = (), beams: int = 1
) -> str:
    """What the engine, or a beam search, returns for a model that says these tokens."""
    ids = encode_text(tokenizer, prompt, encoder=False)
    model = Writer(len(tokenizer) + 8, said, len(ids))
    decoding = Decoding(0.0, 1.0, len(said), until, beams)
    generation = Generation(model, tokenizer, 512, 0)
    ((_, _, text),) = generation([Prompt(generation.truncate_prompt(ids, decoding), (SampleKey(0, 0),))], decoding, 1)
    return text


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("name", CAUSAL)
def test_a_completion_keeps_its_first_space(name: str, beams: int) -> None:
    """The tokens that follow a prompt's in the whole text give back what the text goes on with."""
    tokenizer = MADE[name]
    prompt, whole = (encode_text(tokenizer, text, encoder=False) for text in (PROMPT, PROMPT + BODY))
    assert whole[: len(prompt)] == prompt
    assert generated(tokenizer, PROMPT, whole[len(prompt) :], beams=beams) == BODY


@pytest.mark.parametrize("name", CAUSAL)
def test_stop_sequences_see_the_same_text(name: str) -> None:
    tokenizer = MADE[name]
    prompt, whole = (encode_text(tokenizer, text, encoder=False) for text in (PROMPT, PROMPT + BODY))
    tokens = whole[len(prompt) :]
    for beams in (1, 3):
        assert generated(tokenizer, PROMPT, tokens, ("\nclass",), beams) == "    return a + b\n"
        assert generated(tokenizer, PROMPT, tokens, ("    return",), beams) == ""


@pytest.mark.parametrize("name", MADE)
@seed(0)
@settings(max_examples=50, database=None)
@given(prompt=TEXTS, completion=TEXTS)
def test_prompt_and_completion_join_to_the_whole(name: str, prompt: str, completion: str) -> None:
    tokenizer = MADE[name]
    detokenizer = Detokenizer(tokenizer)
    ids, tokens = (list(tokens_of(tokenizer, text)) for text in (prompt, completion))
    whole = detokenizer.decode([*ids, *tokens])
    assert detokenizer.decode(ids) + text_of(tokenizer, ids, tokens) == whole
    if name == "gemma":  # its decoder drops nothing, so the texts come back
        assert text_of(tokenizer, ids, tokens) == completion


@pytest.mark.parametrize("name", MADE)
@seed(1)
@settings(max_examples=50, database=None)
@given(text=st.text(st.sampled_from(" \nab你好é"), min_size=1, max_size=16), cut=st.integers(0, 60))
def test_any_cut_between_tokens_gives_the_rest_of_the_text(name: str, text: str, cut: int) -> None:
    """Inside a character, too: it belongs to the completion that ends it."""
    tokenizer = MADE[name]
    ids = list(tokens_of(tokenizer, text))
    cut = min(cut, len(ids))
    whole, rest = Detokenizer(tokenizer).decode(ids), text_of(tokenizer, ids[:cut], ids[cut:])
    cuts = (Detokenizer(tokenizer).decode(ids[:end]) for end in range(cut, -1, -1))
    complete = next(began for began in cuts if "\ufffd" not in began)
    assert complete + rest == whole


def test_a_token_may_hold_a_whole_character_and_a_part_of_the_next() -> None:
    tokenizer = MADE["gpt-2"]
    ids = list(tokens_of(tokenizer, "a 😀b"))
    place = ids.index(tokenizer.convert_tokens_to_ids("Ġð"))
    assert text_of(tokenizer, ids[: place + 1], ids[place + 1 :]) == "😀b"
    assert text_of(tokenizer, ids[:place], ids[place:]) == " 😀b"


@pytest.mark.parametrize("name", ["llama", "gemma"])
def test_bytes_that_are_no_character_take_nothing_of_the_prompt(name: str) -> None:
    """A byte-fallback decoder gives up on whole characters before an incomplete one."""
    tokenizer = MADE[name]
    prompt, following = list(tokens_of(tokenizer, "a = 好")), list(tokens_of(tokenizer, "好"))[-3:]
    assert text_of(tokenizer, prompt, following[:1]) == "\ufffd"
    assert text_of(tokenizer, prompt + following[:2], following[2:]) == "好"
    assert text_of(tokenizer, prompt + following[:1], list(tokens_of(tokenizer, "\n"))[-1:])[-1] in "\n\ufffd"


def test_a_window_of_the_prompt_is_enough_and_all_that_is_decoded() -> None:
    tokenizer = MADE["llama"]
    prompt = list(tokens_of(tokenizer, PROMPT * 50))
    text = CompletionText(Detokenizer(tokenizer), prompt)
    assert len(text._context) < 20
    tokens = list(tokens_of(tokenizer, BODY))
    assert text.of(tokens) == CompletionText(Detokenizer(tokenizer), prompt[-40:]).of(tokens)
    long = CompletionText(Detokenizer(tokenizer), list(tokens_of(tokenizer, "x" + "好" * 30)))
    assert long.of(list(tokens_of(tokenizer, "好"))[-3:]) == "好"


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize(
    ("name", "mark"),
    [("gpt-2", "<file_sep>"), ("gpt-2", "<|endoftext|>"), ("code-llama", "▁<EOT>"), ("phi-3", "<|end|>"),
     ("gemma", "<start_of_turn>"), ("llama", "</s>"), ("llama", "<s>")],
)  # fmt: skip
def test_a_special_token_ends_a_completion(name: str, mark: str, beams: int) -> None:
    """None of them is in the model's generation configuration; what follows is not glued to the code."""
    tokenizer = MADE[name]
    prompt, whole = (encode_text(tokenizer, text, encoder=False) for text in (PROMPT, PROMPT + BODY))
    tokens, number = whole[len(prompt) :], tokenizer.convert_tokens_to_ids(mark)
    assert generated(tokenizer, PROMPT, [*tokens, number, *tokens], beams=beams) == BODY
    assert generated(tokenizer, PROMPT, [number, *tokens], beams=beams) == ""
    assert generated(tokenizer, PROMPT, [*tokens, number, *tokens], until=(mark,), beams=beams) == BODY


def test_added_tokens_that_are_not_special_are_text() -> None:
    for tokenizer, text in ((gemma(), "a\n\n\tb"), (gpt2(), "if x:        pass")):
        ids = tokens_of(tokenizer, text)
        assert any(number in tokenizer.added_tokens_decoder for number in ids)
        assert generated(tokenizer, PROMPT, list(ids)) == text


def test_tokens_that_a_tokenizer_lacks_add_nothing_and_end_nothing() -> None:
    """Embeddings are padded to a round number of rows."""
    for name in CAUSAL:
        tokenizer = MADE[name]
        a, b = tokens_of(tokenizer, "pass:")[-2:]
        expected = generated(tokenizer, PROMPT, [a, b])
        for beams in (1, 3):
            assert generated(tokenizer, PROMPT, [a, len(tokenizer) + 3, b], beams=beams) == expected


def test_an_unknown_token_that_stands_for_text_ends_nothing() -> None:
    """T5's vocabulary lacks braces; tokenizers that write any byte have no use for theirs, so it marks something."""
    tokenizer = t5()
    unknown, a = tokenizer.unk_token_id, tokens_of(tokenizer, "return")[0]
    assert unknown in tokens_of(tokenizer, "{")
    special = Detokenizer(tokenizer).special
    assert not EndTokens.of(special, frozenset(), (), encoder_decoder=False).ends([a], unknown)
    assert text_of(tokenizer, [a], [unknown, a]) == " return"
    for name in ("llama", "gemma", "gpt-2"):
        assert MADE[name].unk_token_id in Detokenizer(MADE[name]).special.ids


def test_a_decoder_after_an_encoder_may_begin_with_special_tokens() -> None:
    """CodeT5's says its begin token first; one after text is the end, and so is one that a stop sequence names."""
    tokenizer = t5()
    detokenizer = Detokenizer(tokenizer)
    mark, eos = (tokenizer.convert_tokens_to_ids(text) for text in ("<extra_id_0>", "</s>"))
    text = list(tokens_of(tokenizer, "return a"))
    ends = EndTokens.of(detokenizer.special, frozenset({eos}), (), encoder_decoder=True)
    assert ends.cut([mark, *text, mark, *text]) == [mark, *text]
    assert CompletionText(detokenizer, ()).of([mark, *text]) == "return a"
    assert ends.cut([mark, eos, *text]) == [mark]
    named = EndTokens.of(detokenizer.special, frozenset({eos}), ("<extra_id_0>",), encoder_decoder=True)
    assert named.cut([mark, *text]) == []
