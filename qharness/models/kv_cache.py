"""The key-value cache of the completions in flight, a row each, which rows join and leave as completions begin and end.

All rows end at the same position. They are padded on the left, so that rows of any length can join.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from qharness.models.growing_cache import GrowingCache, joined, joined_pairs, taken
from qharness.models.logits_distance import logits_distance
from qharness.models.prefix_attention import PrefixAttention
from qharness.models.recorded_step import RecordedStep
from qharness.models.shared_prefixes import SharedPrefixes

_TEXTS = [range(first, first + 7) for first in range(1, 43, 7)]  # to try on: any will do
_TOLERANCE = 0.05  # relative; a row that attends to something else is about 1 off


@dataclass(frozen=True)
class KeyValueState:
    """Completions in flight, or prefilled prompts, a row each.

    `mask` int64 [rows, length] is 1 where the cache holds a token of the row; `logits` [rows, vocabulary] predict the
    next token; `encoded` is an encoder's output [rows, source length, width] with its mask [rows, source length].
    With `prefixes`, mask and cache are of what follows them.
    """

    step: KeyValueStep
    cache: GrowingCache | EncoderDecoderCache
    mask: Tensor
    logits: Tensor
    encoded: tuple[Tensor, Tensor] | None = None
    prefixes: SharedPrefixes | None = None

    def __len__(self) -> int:
        return len(self.logits)

    def advance(self, tokens: Tensor, alive: Tensor) -> KeyValueState:
        """Append tokens int64 [rows], masked out where `alive`, bool [rows], is false."""
        return self.step.forward(self, tokens[:, None], alive[:, None].to(torch.int64))

    def take(self, indices: Sequence[int]) -> KeyValueState:
        """These rows, in this order, some perhaps several times. Padding that all of them share is dropped."""
        chosen = torch.tensor(indices, device=self.logits.device)
        mask = self.mask[chosen]
        start = 0 if self.encoded or not mask.shape[1] else int(mask.any(dim=0).int().argmax())
        halves = [
            taken(half.pairs, chosen, skipped) for half, skipped in zip(_halves(self.cache), (start, 0), strict=False)
        ]
        if self.encoded:
            cache = EncoderDecoderCache(*map(GrowingCache, halves))
            encoded = self.encoded[0][chosen], self.encoded[1][chosen]
            return KeyValueState(self.step, cache, mask, self.logits[chosen], encoded)
        prefixes = self.prefixes.take(chosen) if self.prefixes else None
        return self._of(halves[0], mask[:, start:], self.logits[chosen], prefixes)

    def shared(self, names: Sequence[int], counts: Sequence[int]) -> KeyValueState:
        """So many rows of each row, which share its keys and values; `names` are numbers of the rows' own."""
        owner = torch.arange(len(self), device=self.logits.device).repeat_interleave(
            torch.tensor(counts, device=self.logits.device)
        )
        assert isinstance(self.cache, GrowingCache)
        prefixes = SharedPrefixes(tuple(names), self.cache.pairs, self.mask, owner)
        nothing = [(keys[owner][..., :0, :], values[owner][..., :0, :]) for keys, values in self.cache.pairs]
        return self._of(nothing, self.mask[owner][:, :0], self.logits[owner], prefixes)

    def join(self, others: Sequence[KeyValueState]) -> KeyValueState:
        """The rows of all; not for encoder-decoder models, whose decoders count positions from the first."""
        states = (self, *others)
        pairs = joined_pairs([_halves(state.cache)[0].pairs for state in states])
        mask = joined([state.mask for state in states], dim=-1)
        shared = [state.prefixes for state in states if state.prefixes]
        assert len(shared) in (0, len(states))
        prefixes = shared[0].join(shared[1:]) if shared else None
        return self._of(pairs, mask, torch.cat([state.logits for state in states]), prefixes)

    def whole_mask(self) -> Tensor:
        """The mask int64 [rows, all positions], of shared ones too."""
        return torch.cat([self.prefixes.row_mask, self.mask], dim=1) if self.prefixes else self.mask

    def _of(
        self, pairs: Sequence[tuple[Tensor, Tensor]], mask: Tensor, logits: Tensor, prefixes: SharedPrefixes | None
    ) -> KeyValueState:
        if prefixes:
            attention = PrefixAttention.of(prefixes.owner, len(prefixes.names))
            cache = GrowingCache(pairs, attention, prefixes.layers)
        else:
            cache = GrowingCache(pairs)
        return KeyValueState(self.step, cache, mask, logits, prefixes=prefixes)


class KeyValueStep:
    """Runs a model whose state is keys and values, over rows of any length."""

    label = "shared batches"
    equal_lengths, caches = False, True

    def __init__(self, model: PreTrainedModel, pad_token_id: int, cache_name: str) -> None:
        self._model, self._pad_token_id, self._cache_name = model, pad_token_id, cache_name
        self.joins = not model.config.is_encoder_decoder
        accepted = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in accepted
        self._last_only: dict[str, int] = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        self._recorded = {shared: RecordedStep(model, self._logits, shared=shared) for shared in (False, True)}

    @cached_property
    def shares(self) -> bool:
        """Whether rows may share the keys and values of their prompts: tried on short texts until one is alike.

        Not for layers that look at a window, whose masks count from a row's end without gaps. Sums of another order
        may round an activation of 8 bits to its neighbour, and that many others: in a text of three, for some models.
        """
        config = self._model.config
        if not self.joins or config._attn_implementation != "sdpa" or not self._takes_positions:
            return False
        if layer_types(self._model) != {DynamicLayer}:
            return False
        with torch.inference_mode():
            try:
                return any(self._sharing_distance(text) <= _TOLERANCE for text in _TEXTS)
            except Exception:  # a model's own attention may raise anything
                return False

    def _sharing_distance(self, text: Sequence[int]) -> float:
        """How far logits of rows that share their prompts are from those of copies, after two tokens."""
        read = self.prefill([text[:5], text[2:5]])
        same = [read.take([0, 0, 1]), read.shared([0, 1], [2, 1])]
        for token in text[-2:]:
            tokens = torch.full((3,), token, device=self._model.device)
            same = [state.advance(tokens, torch.ones_like(tokens, dtype=torch.bool)) for state in same]
        return logits_distance(same[1].logits, same[0].logits)

    def prefill(self, prompts: Sequence[Sequence[int]], decoder_start_token_id: int = 0) -> KeyValueState:
        """Read prompts, one row each; an encoder-decoder model's decoder reads `decoder_start_token_id`."""
        device = self._model.device
        # A decoder goes on where its prompt ends; an encoder counts positions from where it begins.
        ids, mask = padded_rows(prompts, self._pad_token_id, device, left=self.joins)
        nothing = torch.zeros((len(prompts), 0), dtype=torch.int64, device=device)
        empty = KeyValueState(self, GrowingCache(), nothing, torch.empty(0))
        if self.joins:
            return self.forward(empty, ids, mask)
        states = self._model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        start = torch.full((len(prompts), 1), decoder_start_token_id, device=device)
        cache = EncoderDecoderCache(GrowingCache(), GrowingCache())
        return self.forward(replace(empty, cache=cache, encoded=(states, mask)), start, torch.ones_like(start))

    def row_bytes(self, length: int) -> int:
        """Bytes of the keys and values of so many tokens."""
        with torch.inference_mode():
            halves = _halves(self.prefill([[self._pad_token_id]]).cache)
        return length * sum(int(t.nbytes) for half in halves for pair in half.pairs for t in pair)

    def forward(self, state: KeyValueState, ids: Tensor, new_mask: Tensor) -> KeyValueState:
        """Append token ids int64 [rows, new] with their mask int64 [rows, new] to a state, whose cache is changed."""
        mask = torch.cat([state.mask, new_mask], dim=1)
        if state.encoded:
            encoder_outputs = BaseModelOutput(last_hidden_state=state.encoded[0])
            inputs = {"encoder_outputs": encoder_outputs, "decoder_input_ids": ids, "attention_mask": state.encoded[1]}
            return replace(state, mask=mask, logits=self._run(inputs, state.cache))
        after, cache = replace(state, mask=mask), state.cache
        assert isinstance(cache, GrowingCache)
        whole, logits = after.whole_mask(), None
        if ids.shape[1] == 1:
            logits = self._recorded[state.prefixes is not None](ids, whole, cache, lambda rows: _rows(state, rows))
        return replace(after, logits=self._logits(ids, whole, cache) if logits is None else logits)

    def _logits(self, ids: Tensor, mask: Tensor, cache: GrowingCache) -> Tensor:
        """What follows token ids int64 [rows, new]: logits [rows, vocabulary]. `mask` [rows, length] counts them."""
        inputs = {"input_ids": ids, "attention_mask": mask}
        if self._takes_positions:
            inputs["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        with cache.attention.taking_over() if cache.attention else nullcontext():
            return self._run(inputs, cache)

    def _run(self, inputs: Mapping[str, Any], cache: Cache) -> Tensor:
        output = self._model(use_cache=True, **inputs, **{self._cache_name: cache}, **self._last_only)
        logits: Tensor = output.logits[:, -1]
        return logits


def layer_types(model: PreTrainedModel) -> frozenset[type]:
    """The types of layers in the cache that transformers makes for a model; `object` where it makes none."""
    try:
        cache: Cache = DynamicCache(config=model.config)
    except (AttributeError, KeyError, TypeError, ValueError):
        return frozenset({object})
    return frozenset(type(layer) for layer in cache.layers)


def _rows(state: KeyValueState, rows: Sequence[int]) -> GrowingCache:
    """A cache of these rows of a state, those from the end by negative numbers."""
    cache = state.take([row % len(state) for row in rows]).cache
    assert isinstance(cache, GrowingCache)
    return cache


def padded_rows(
    rows: Sequence[Sequence[int]], pad_token_id: int, device: torch.device, *, left: bool
) -> tuple[Tensor, Tensor]:
    """(ids, mask), int64 [rows, longest], padded on the left or on the right."""
    width = max(map(len, rows))
    short = [width - len(row) for row in rows]
    pad = [pad_token_id]
    ids = [pad * n + list(row) if left else list(row) + pad * n for n, row in zip(short, rows, strict=True)]
    mask = [[0] * n + [1] * (width - n) if left else [1] * (width - n) + [0] * n for n in short]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _halves(cache: GrowingCache | EncoderDecoderCache) -> tuple[GrowingCache, ...]:
    """A decoder's own cache, and that of its encoder's states if there is one."""
    if isinstance(cache, EncoderDecoderCache):
        return cast(GrowingCache, cache.self_attention_cache), cast(GrowingCache, cache.cross_attention_cache)
    return (cache,)
