"""Tokens that are no text: special ones, numbers that the tokenizer lacks, and those that end a completion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_RARE = "{ ~ \\ \U00012000 \U0010fffd"  # some of them no vocabulary of words or letters has


class SpecialTokens:
    """A tokenizer's special tokens: those it names, as the end of a text, and added ones that are marked special.

    Added tokens that are not marked special are text, and so are special ones of white space only. An unknown token
    that stands for text, because the tokenizer lacks tokens for some characters, adds nothing to a text and ends none.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._is_text = cache(self._adds_text)  # a completion's tokens are looked at again and again

    @cached_property
    def ids(self) -> frozenset[int]:
        """The special tokens, without the unknown token and those of white space."""
        return frozenset(number for number, text in self._marked() if text.strip()) - {self.unknown_id}

    @cached_property
    def unknown_id(self) -> int | None:
        """The token for characters that have no tokens; None of a tokenizer that has tokens for all bytes.

        Such a tokenizer may name an unknown token all the same, for one the token that ends documents.
        """
        number = self._tokenizer.unk_token_id
        written = self._tokenizer(_RARE, add_special_tokens=False)["input_ids"]
        return number if number in written else None

    def named(self, text: str) -> int | None:
        """The number of the special token of that text; None if there is none."""
        return next((number for number, content in self._marked() if content == text), None)

    def texts_of(self, tokens: Sequence[int]) -> list[int]:
        """The tokens that can add to a text. One that only padded embeddings have, and no tokenizer, cannot."""
        return [token for token in tokens if self._is_text(token)]

    def _marked(self) -> Iterator[tuple[int, str]]:
        for number, added in self._tokenizer.added_tokens_decoder.items():
            if added.special:
                yield number, str(added)
        for text in self._tokenizer.all_special_tokens:
            found = self._tokenizer.convert_tokens_to_ids(text)
            # A special token that is not in the vocabulary has the unknown token's number.
            if isinstance(found, int) and self._tokenizer.convert_ids_to_tokens(found) == text:
                yield found, text

    def _adds_text(self, token: int) -> bool:
        if token in self.ids or token == self.unknown_id:
            return False
        try:
            return self._tokenizer.convert_ids_to_tokens(token) is not None
        except (IndexError, KeyError, ValueError, OverflowError):  # tokenizers in Python raise what they like
            return False


@dataclass(frozen=True)
class EndTokens:
    """The tokens that end a completion: `always`, or once it holds a token that is not in `after_text`.

    A decoder after an encoder may write special tokens before its text (a begin token, a language), which end nothing.
    """

    always: frozenset[int] = frozenset()
    after_text: frozenset[int] = frozenset()

    @classmethod
    def of(
        cls, special: SpecialTokens, eos_token_ids: frozenset[int], until: Sequence[str], *, encoder_decoder: bool
    ) -> EndTokens:
        """Take a model's end tokens, the special tokens that stop sequences name, and all other special tokens."""
        named = frozenset(number for stop in until if (number := special.named(stop)) is not None)
        if encoder_decoder:
            return cls(eos_token_ids | named, special.ids)
        return cls(eos_token_ids | named | special.ids)

    def ends(self, tokens: Sequence[int], token: int) -> bool:
        """Whether a token ends a completion of these tokens."""
        if token in self.always:
            return True
        return token in self.after_text and any(each not in self.after_text for each in tokens)

    def cut(self, tokens: Sequence[int]) -> list[int]:
        """The tokens before the first that ends the completion."""
        return next((list(tokens[:n]) for n, token in enumerate(tokens) if self.ends(tokens[:n], token)), list(tokens))
