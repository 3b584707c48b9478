"""Tokenizes prompts and calibration texts, all of which pass through here.

A tokenizer may put an end token after every text (`add_eos_token`): right for an encoder, but a causal model that reads
it has nothing to complete. It may put a begin token where the text has one already, or two.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROBE = "a"


@dataclass(frozen=True)
class AddedTokens:
    """The special tokens that a tokenizer puts before and after each text; of repeated ones, one."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> AddedTokens:
        """Find a tokenizer's by tokenizing a letter with and without them."""
        before, after = _around(tokenizer)
        return cls(_once(before), _once(after))


def encode_text(
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    *,
    encoder: bool,
    special: bool = True,
    max_length: int | None = None,
) -> list[int]:
    """A text's token ids, the first `max_length` of them if that is given.

    The tokenizer's begin tokens come first, once, and for an encoder its end tokens last; none if not `special`.
    """
    if not special:
        return _ids(tokenizer, text, special=False)[:max_length]
    added = AddedTokens.of(tokenizer)
    body = _without(_ids(tokenizer, text, special=True), *_around(tokenizer))
    if body[: len(added.before)] == list(added.before):  # the text itself begins with them
        body = body[len(added.before) :]
    if encoder and added.after and body[-len(added.after) :] == list(added.after):
        body = body[: -len(added.after)]
    after = added.after if encoder else ()
    if max_length is not None:
        body = body[: max(0, max_length - len(added.before) - len(after))]
    return [*added.before, *body, *after]


def cut_prompt(ids: Sequence[int], begin: Sequence[int], longest: int) -> tuple[int, ...]:
    """Cut a prompt's token ids from the left to `longest`; where it starts with the ids `begin`, these stay."""
    if len(ids) <= longest:
        return tuple(ids)
    begin = begin if list(ids[: len(begin)]) == list(begin) else ()
    return (*begin, *ids[len(ids) - longest + len(begin) :])


def longest_prompt(max_length: int, max_new_tokens: int) -> int:
    """The longest prompt of a causal model: the completion has room for `max_new_tokens`, or half of the context."""
    return max_length - min(max_new_tokens, max_length // 2)


def _around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The tokens before and after those of a letter; none where the letter's own are not found."""
    plain, whole = (_ids(tokenizer, _PROBE, special=special) for special in (False, True))
    for start in range(len(whole) - len(plain) + 1) if plain else ():
        if whole[start : start + len(plain)] == plain:
            return whole[:start], whole[start + len(plain) :]
    return [], []


def _ids(tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool) -> list[int]:
    # Not verbose, or it would warn of a length that is cut later.
    ids: list[int] = tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
    return ids


def _without(ids: list[int], before: list[int], after: list[int]) -> list[int]:
    return ids[len(before) : len(ids) - len(after)]


def _once(tokens: list[int]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(tokens))
