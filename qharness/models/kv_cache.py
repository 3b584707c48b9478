"""Rows of a batch in flight: their key-value cache, joined and thinned out as completions begin and end.

Rows end at the same place and begin where their prompts are long enough to: they are padded on the left, so that rows
of any length can join.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import pad as padded
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

_ROOM = 64  # positions that a cache's buffer grows by at least


class GrowingLayer(DynamicLayer):
    """A layer of a cache that writes new positions in place, where transformers' own copies all it has each step."""

    _buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values [rows, heads, new positions, width]; all of them so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states[..., :0, :], value_states[..., :0, :]
        held = cast(Tensor, self.keys), cast(Tensor, self.values)
        start, end = held[0].shape[-2], held[0].shape[-2] + key_states.shape[-2]
        if self._buffers is None or self._buffers[0].shape[-2] < end:
            room = end + max(_ROOM, end // 4) - start
            self._buffers = padded(held[0], (0, 0, 0, room)), padded(held[1], (0, 0, 0, room))
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., start:end, :] = new
        self.keys, self.values = (buffer[..., :end, :] for buffer in self._buffers)
        return self.keys, self.values


def new_cache(encoder_decoder: bool) -> Cache:
    """An empty cache, of any number of layers."""
    own = Cache(layer_class_to_replicate=GrowingLayer)
    return EncoderDecoderCache(own, Cache(layer_class_to_replicate=GrowingLayer)) if encoder_decoder else own


def cache_bytes(cache: Cache) -> int:
    """The size of all keys and values in a cache."""
    return sum(int(t.nbytes) for half in _halves(cache) for pair in _tensors(half) for t in pair)


@dataclass(frozen=True)
class Rows:
    """Completions in flight, or prompts that wait to become some.

    `mask` int64 [rows, length] is 1 where the cache holds a token of the row; `logits` [rows, vocabulary] are of the
    next token; `source` is an encoder's output [rows, source, width] with its mask [rows, source].
    """

    cache: Cache
    mask: Tensor
    logits: Tensor
    source: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.logits)

    def take(self, indices: Sequence[int]) -> Rows:
        """These rows, in this order; one may be taken several times. Padding that all of them share is dropped."""
        chosen = torch.tensor(indices, device=self.logits.device)
        mask = self.mask[chosen]
        start = int(mask.any(dim=0).int().argmax()) if self.source is None else 0
        cache = _changed(
            self.cache, lambda t: t.index_select(0, chosen)[..., start:, :], lambda t: t.index_select(0, chosen)
        )
        source = (self.source[0][chosen], self.source[1][chosen]) if self.source else None
        return Rows(cache, mask[:, start:], self.logits[chosen], source)

    def join(self, others: Rows) -> Rows:
        """All rows of both; not for encoder-decoder models, whose decoders count positions from the first."""
        length = max(self.mask.shape[1], others.mask.shape[1])
        mine, theirs = (length - rows.mask.shape[1] for rows in (self, others))
        cache = new_cache(encoder_decoder=False)
        for layer, pairs in enumerate(zip(_tensors(self.cache), _tensors(others.cache), strict=True)):
            keys, values = (
                torch.cat([padded(a, (0, 0, mine, 0)), padded(b, (0, 0, theirs, 0))])
                for a, b in zip(*pairs, strict=True)
            )
            cache.update(keys, values, layer)
        mask = torch.cat([padded(self.mask, (mine, 0)), padded(others.mask, (theirs, 0))])
        return Rows(cache, mask, torch.cat([self.logits, others.logits]))


class Stepper:
    """Runs a model whose state is keys and values, over rows of any length."""

    label = "shared batches"
    equal_lengths, caches = False, True

    def __init__(self, model: PreTrainedModel, pad: int) -> None:
        self._model = model
        self._pad = pad
        self.joins = not model.config.is_encoder_decoder
        accepted = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in accepted
        self._last_only: dict[str, int] = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}

    def start(self, prompts: Sequence[Sequence[int]], first: int = 0) -> Rows:
        """One row a prompt; `first` is the token that a decoder begins with, where there is an encoder."""
        device = self._model.device
        # A decoder goes on where its prompt ends; an encoder counts positions from where it begins.
        ids, mask = rectangle(prompts, self._pad, device, left=self.joins)
        empty = torch.zeros((len(prompts), 0), dtype=torch.int64, device=device)
        if self.joins:
            return self._advanced(Rows(new_cache(encoder_decoder=False), empty, torch.empty(0)), ids, mask)
        states = self._model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        begin = torch.full((len(prompts), 1), first, device=device)
        rows = Rows(new_cache(encoder_decoder=True), empty, torch.empty(0), (states, mask))
        return self._advanced(rows, begin, torch.ones_like(begin))

    def step(self, rows: Rows, tokens: Tensor, alive: Tensor) -> Rows:
        """One token int64 [rows] more in each row; those not `alive` stand still."""
        return self._advanced(rows, tokens[:, None], alive[:, None].to(torch.int64))

    def row_bytes(self, length: int) -> int:
        """Keys and values of so many tokens."""
        with torch.inference_mode():
            return length * cache_bytes(self.start([[self._pad]]).cache)

    def _advanced(self, rows: Rows, ids: Tensor, new: Tensor) -> Rows:
        mask = torch.cat([rows.mask, new], dim=1)
        given: dict[str, Any] = {"past_key_values": rows.cache, "use_cache": True, **self._last_only}
        if rows.source:
            given |= {"encoder_outputs": BaseModelOutput(last_hidden_state=rows.source[0]), "decoder_input_ids": ids}
            given |= {"attention_mask": rows.source[1]}
        else:
            given |= {"input_ids": ids, "attention_mask": mask}
            if self._takes_positions:
                given["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        logits = self._model(**given).logits[:, -1]
        return replace(rows, mask=mask, logits=logits)


def rectangle(rows: Sequence[Sequence[int]], pad: int, device: torch.device, *, left: bool) -> tuple[Tensor, Tensor]:
    """(ids, mask), int64 [rows, longest], padded on the left or on the right."""
    width = max(map(len, rows))
    short = [width - len(row) for row in rows]
    ids = [[pad] * n + list(row) if left else list(row) + [pad] * n for n, row in zip(short, rows, strict=True)]
    mask = [[0] * n + [1] * (width - n) if left else [1] * (width - n) + [0] * n for n in short]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _halves(cache: Cache) -> tuple[Cache, ...]:
    """The caches of a cache: a decoder's own, and that of its encoder's states."""
    return (
        (cache.self_attention_cache, cache.cross_attention_cache)
        if isinstance(cache, EncoderDecoderCache)
        else (cache,)
    )


def _tensors(cache: Cache) -> list[tuple[Tensor, Tensor]]:
    """(keys, values) of each layer."""
    return [(layer.keys, layer.values) for layer in cast(list[Any], cache.layers)]


def _changed(cache: Cache, own: Any, cross: Any) -> Cache:
    """A new cache with its tensors changed by these functions."""
    halves = []
    for half, change in zip(_halves(cache), (own, cross), strict=False):
        new = new_cache(encoder_decoder=False)
        for number, (keys, values) in enumerate(_tensors(half)):
            new.update(change(keys), change(values), number)
        halves.append(new)
    return EncoderDecoderCache(*halves) if len(halves) > 1 else halves[0]
