"""Steps of models whose state is more than keys and values: rows that are equally long, without any padding.

A recurrent state has seen each token once, so padding would stay in it; rows of one length need none.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_outputs import BaseModelOutput

from qharness.models.kv_cache import rectangle

_ACTIVATIONS = 64  # bytes a token and unit of width, where the whole text is computed


@dataclass(frozen=True)
class StateRows:
    """Rows of one length in transformers' own cache."""

    cache: Cache
    length: int
    logits: Tensor

    def __len__(self) -> int:
        return len(self.logits)

    def take(self, indices: Sequence[int]) -> StateRows:
        """These rows, in this order, with copies of their states: a step changes states in place."""
        chosen = torch.tensor(indices, device=self.logits.device)
        cache = copy.deepcopy(self.cache)
        cache.reorder_cache(cast(torch.LongTensor, chosen))
        return StateRows(cache, self.length, self.logits[chosen])


class OwnCacheStep:
    """Runs a model with the cache that transformers makes for its configuration, of whatever kind its layers are."""

    label = "equal-length batches"
    joins, equal_lengths, caches = False, True, True

    def __init__(self, model: PreTrainedModel, cache_name: str) -> None:
        self._model, self._cache_name = model, cache_name
        accepted = inspect.signature(model.forward).parameters
        self._last_only: dict[str, int] = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        self._takes_positions = "position_ids" in accepted

    def start(self, prompts: Sequence[Sequence[int]], first: int = 0) -> StateRows:
        """One row a prompt, all of one length; `first` is of no use here."""
        ids = torch.tensor([list(prompt) for prompt in prompts], device=self._model.device)
        return self._advanced(StateRows(DynamicCache(config=self._model.config), 0, torch.empty(0)), ids)

    def step(self, rows: StateRows, tokens: Tensor, alive: Tensor) -> StateRows:
        """One token int64 [rows] more in each row; what those not `alive` get is of no consequence."""
        return self._advanced(rows, tokens[:, None])

    def row_bytes(self, length: int) -> int:
        """A state, and what each token adds to it."""
        one, two = (sum(t.nbytes for t in _tensors(self.start([[0] * n]).cache.layers)) for n in (1, 2))
        return one + (length - 1) * (two - one)

    def _advanced(self, rows: StateRows, ids: Tensor) -> StateRows:
        given = {"input_ids": ids, self._cache_name: rows.cache, "use_cache": True, **self._last_only}
        length = rows.length + ids.shape[1]
        if self._takes_positions:  # some count from 0 at each step unless they are told
            given["position_ids"] = torch.arange(rows.length, length, device=ids.device).expand_as(ids)
        return StateRows(rows.cache, length, self._model(**given).logits[:, -1])


@dataclass(frozen=True)
class TextRows:
    """Rows of one length, as the token ids int64 [rows, length] that they are; `source` is an encoder's output."""

    ids: Tensor
    logits: Tensor
    source: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.logits)

    def take(self, indices: Sequence[int]) -> TextRows:
        """These rows, in this order."""
        chosen = torch.tensor(indices, device=self.ids.device)
        source = (self.source[0][chosen], self.source[1][chosen]) if self.source else None
        return TextRows(self.ids[chosen], self.logits[chosen], source)


class RecomputeStep:
    """Runs a model over the whole text for each new token, with the inputs that transformers' `generate` gives it."""

    label = "recomputed for each token"
    joins, caches = False, False

    def __init__(self, model: PreTrainedModel, pad: int) -> None:
        self._model, self._pad = model, pad
        self.equal_lengths = not model.config.is_encoder_decoder
        accepted = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in accepted and self.equal_lengths

    def start(self, prompts: Sequence[Sequence[int]], first: int = 0) -> TextRows:
        """One row a prompt, all of one length unless an encoder reads them."""
        device = self._model.device
        ids, mask = rectangle(prompts, self._pad, device, left=False)
        if self.equal_lengths:
            return self._computed(TextRows(ids, torch.empty(0)))
        states = self._model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        begin = torch.full((len(prompts), 1), first, device=device)
        return self._computed(TextRows(begin, torch.empty(0), (states, mask)))

    def step(self, rows: TextRows, tokens: Tensor, alive: Tensor) -> TextRows:
        """One token int64 [rows] more in each row; what those not `alive` get is of no consequence."""
        return self._computed(replace(rows, ids=torch.cat([rows.ids, tokens[:, None]], dim=1)))

    def row_bytes(self, length: int) -> int:
        """Nothing lasts; this is what a layer computes of a row, roughly."""
        return length * int(self._model.config.get_text_config(decoder=True).hidden_size) * _ACTIVATIONS

    def _computed(self, rows: TextRows) -> TextRows:
        given: dict[str, object] = {"use_cache": False}
        if rows.source:
            states = BaseModelOutput(last_hidden_state=rows.source[0])
            given |= {"encoder_outputs": states, "attention_mask": rows.source[1]}
        elif self._takes_positions:
            given["position_ids"] = torch.arange(rows.ids.shape[1], device=rows.ids.device).expand_as(rows.ids)
        prepared = self._model.prepare_inputs_for_generation(  # type: ignore[operator]
            rows.ids, is_first_iteration=True, **given
        )
        return replace(rows, logits=self._model(**prepared).logits[:, -1])


def _tensors(value: object) -> Iterator[Tensor]:
    """All tensors that a cache's layers hold."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)
    elif hasattr(value, "__dict__"):
        yield from _tensors(vars(value))
