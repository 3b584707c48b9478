"""The key-value cache of the completions in flight, a row each, which rows join and leave as completions begin and end.

All rows end at the same position. They are padded on the left, so that rows of any length can join.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import pad as padded
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from qharness.models.growing_layer import GrowingLayer
from qharness.models.recorded_step import RecordedStep


@dataclass(frozen=True)
class KeyValueState:
    """Completions in flight, or prefilled prompts, a row each.

    `mask` int64 [rows, length] is 1 where the cache holds a token of the row; `logits` [rows, vocabulary] predict the
    next token; `encoded` is an encoder's output [rows, source length, width] with its mask [rows, source length].
    """

    step: KeyValueStep
    cache: Cache
    mask: Tensor
    logits: Tensor
    encoded: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.logits)

    def advance(self, tokens: Tensor, alive: Tensor) -> KeyValueState:
        """Append tokens int64 [rows], masked out where `alive`, bool [rows], is false."""
        return self.step.forward(self, tokens[:, None], alive[:, None].to(torch.int64))

    def take(self, indices: Sequence[int]) -> KeyValueState:
        """These rows, in this order, some perhaps several times. Padding that all of them share is dropped."""
        chosen = torch.tensor(indices, device=self.logits.device)
        mask = self.mask[chosen]
        start = int(mask.any(dim=0).int().argmax()) if self.encoded is None else 0
        halves = [
            _cache_of([t.index_select(0, chosen)[..., skipped:, :] for t in pair] for pair in _keys_and_values(half))
            for half, skipped in zip(_halves(self.cache), (start, 0), strict=False)
        ]
        cache = EncoderDecoderCache(*halves) if len(halves) > 1 else halves[0]
        encoded = (self.encoded[0][chosen], self.encoded[1][chosen]) if self.encoded else None
        return KeyValueState(self.step, cache, mask[:, start:], self.logits[chosen], encoded)

    def join(self, others: Sequence[KeyValueState]) -> KeyValueState:
        """The rows of all; not for encoder-decoder models, whose decoders count positions from the first."""
        states = (self, *others)
        length = max(state.mask.shape[1] for state in states)
        short = [length - state.mask.shape[1] for state in states]
        layers = zip(*(_keys_and_values(state.cache) for state in states), strict=True)
        cache = _cache_of(
            [
                torch.cat([padded(each, (0, 0, n, 0)) for n, each in zip(short, same, strict=True)])
                for same in zip(*layer, strict=True)
            ]
            for layer in layers
        )
        mask = torch.cat([padded(state.mask, (n, 0)) for n, state in zip(short, states, strict=True)])
        return KeyValueState(self.step, cache, mask, torch.cat([state.logits for state in states]))


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
        self._recorded = RecordedStep(model, self._logits)

    def prefill(self, prompts: Sequence[Sequence[int]], decoder_start_token_id: int = 0) -> KeyValueState:
        """Read prompts, one row each; an encoder-decoder model's decoder reads `decoder_start_token_id`."""
        device = self._model.device
        # A decoder goes on where its prompt ends; an encoder counts positions from where it begins.
        ids, mask = padded_rows(prompts, self._pad_token_id, device, left=self.joins)
        nothing = torch.zeros((len(prompts), 0), dtype=torch.int64, device=device)
        empty = KeyValueState(self, _cache_of(()), nothing, torch.empty(0))
        if self.joins:
            return self.forward(empty, ids, mask)
        states = self._model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        start = torch.full((len(prompts), 1), decoder_start_token_id, device=device)
        cache = EncoderDecoderCache(_cache_of(()), _cache_of(()))
        return self.forward(replace(empty, cache=cache, encoded=(states, mask)), start, torch.ones_like(start))

    def row_bytes(self, length: int) -> int:
        """Bytes of the keys and values of so many tokens."""
        with torch.inference_mode():
            halves = _halves(self.prefill([[self._pad_token_id]]).cache)
        return length * sum(int(t.nbytes) for half in halves for pair in _keys_and_values(half) for t in pair)

    def forward(self, state: KeyValueState, ids: Tensor, new_mask: Tensor) -> KeyValueState:
        """Append token ids int64 [rows, new] with their mask int64 [rows, new] to a state, whose cache is changed."""
        mask = torch.cat([state.mask, new_mask], dim=1)
        if state.encoded:
            encoder_outputs = BaseModelOutput(last_hidden_state=state.encoded[0])
            inputs = {"encoder_outputs": encoder_outputs, "decoder_input_ids": ids, "attention_mask": state.encoded[1]}
            return replace(state, mask=mask, logits=self._run(inputs, state.cache))
        logits = self._recorded(ids, mask, state.cache) if ids.shape[1] == 1 else None
        return replace(state, mask=mask, logits=self._logits(ids, mask, state.cache) if logits is None else logits)

    def _logits(self, ids: Tensor, mask: Tensor, cache: Cache) -> Tensor:
        """What follows token ids int64 [rows, new]: logits [rows, vocabulary]. `mask` [rows, length] counts them."""
        inputs = {"input_ids": ids, "attention_mask": mask}
        if self._takes_positions:
            inputs["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        return self._run(inputs, cache)

    def _run(self, inputs: Mapping[str, Any], cache: Cache) -> Tensor:
        output = self._model(use_cache=True, **inputs, **{self._cache_name: cache}, **self._last_only)
        logits: Tensor = output.logits[:, -1]
        return logits


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


def _cache_of(layers: Iterable[Sequence[Tensor]]) -> Cache:
    """A cache of the (keys, values) of each layer; layers that are not given are added at their first update."""
    cache = Cache(layer_class_to_replicate=GrowingLayer)
    for number, (keys, values) in enumerate(layers):
        cache.update(keys, values, number)
    return cache


def _halves(cache: Cache) -> tuple[Cache, ...]:
    """A decoder's own cache, and that of its encoder's states if there is one."""
    if isinstance(cache, EncoderDecoderCache):
        return cache.self_attention_cache, cache.cross_attention_cache
    return (cache,)


def _keys_and_values(cache: Cache) -> list[tuple[Tensor, Tensor]]:
    """(keys, values) of each layer."""
    return [(layer.keys, layer.values) for layer in cast(list[Any], cache.layers)]
