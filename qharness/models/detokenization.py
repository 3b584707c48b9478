"""Turns tokens into text. A completion's text is that of prompt and completion together, less that of the prompt.

It cannot be decoded alone: a tokenizer's decoder may drop the first space of any text (Llama 2's does), and may need
several tokens for one character.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qharness.models.special_tokens import SpecialTokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_WINDOW = 8  # tokens of a prompt that are decoded with a completion, more where those begin inside a character
_INCOMPLETE = "\ufffd"  # what a decoder writes for bytes that are no character
_MOST_PENDING = 3  # tokens that can hold bytes of a character that is not whole yet


class Detokenizer:
    """Decodes tokens. Special tokens and numbers that the tokenizer lacks add nothing."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self.special = SpecialTokens(tokenizer)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens by themselves, with the spaces before punctuation."""
        plain = self.special.texts_of(tokens)
        return str(self._tokenizer.decode(plain, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def added_text(self, context: Sequence[int], tokens: Sequence[int]) -> str:
        """The text that `tokens` add to that of `context`, with any character that has bytes in both."""
        before, whole = self.decode(context), self.decode([*context, *tokens])
        if whole.startswith(before):
            return whole[len(before) :]
        shared = next(place for place, letter in enumerate(before) if whole[place : place + 1] != letter)
        # A byte-fallback decoder gives up on all bytes in a row, each by itself, if the last are no character.
        given_up = len(before[shared:].encode("utf-8", "replace"))
        if whole[shared : shared + given_up] == _INCOMPLETE * given_up:
            return whole[shared + given_up :]
        # The context ends inside a character. Before its bytes, others in a row may have been given up as well.
        pending = range(1, min(_MOST_PENDING, len(context)) + 1)
        complete = (self.decode(context[:-count]) for count in pending)
        return whole[max([shared, *(len(text) for text in complete if whole.startswith(text))]) :]


class CompletionText:
    """The texts of one prompt's completions. `prompt_ids` is empty for an encoder-decoder model."""

    def __init__(self, detokenizer: Detokenizer, prompt_ids: Sequence[int]) -> None:
        self._detokenizer = detokenizer
        self._context = _context(detokenizer, detokenizer.special.texts_of(prompt_ids))

    def of(self, tokens: Sequence[int]) -> str:
        """The text of a completion."""
        return self._detokenizer.added_text(self._context, tokens)

    def around(self, tokens: Sequence[int], count: int) -> str:
        """A text that holds all that the last `count` tokens of a completion add to it, and some of what is before."""
        start = max(0, len(tokens) - count)
        before = tokens[start - _WINDOW : start] if start >= _WINDOW else [*self._context, *tokens[:start]]
        return self._detokenizer.decode([*before, *tokens[start:]])


def _context(detokenizer: Detokenizer, ids: Sequence[int]) -> Sequence[int]:
    """The shortest end of a prompt that begins with a whole character and decodes as it does in the whole."""
    whole, size = detokenizer.decode(ids), _WINDOW
    while size < len(ids):
        text = detokenizer.decode(ids[-size:])
        if text.strip() and not text.startswith(_INCOMPLETE) and whole.endswith(text):
            return ids[-size:]
        size *= 2
    return ids
