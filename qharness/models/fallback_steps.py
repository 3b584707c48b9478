"""Steps of models that shared key-value batches do not fit: with transformers' own cache, or without any.

A recurrent state has read each token once, so padding would stay in it; rows of one length need none.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache
from transformers.modeling_outputs import BaseModelOutput

from qharness.models.kv_cache import padded_rows
from qharness.models.nonfinite import tensors_in

_ACTIVATION_BYTES = 64  # a token and unit of width, where the whole text is computed


@dataclass(frozen=True)
class TransformersCacheState:
    """Rows of `length` tokens each, in transformers' own cache; `logits` [rows, vocabulary] predict the next token."""

    step: TransformersCacheStep
    cache: Cache
    length: int
    logits: Tensor

    def __len__(self) -> int:
        return len(self.logits)

    def advance(self, tokens: Tensor, alive: Tensor) -> TransformersCacheState:
        """Append tokens int64 [rows], also to rows that are not `alive`."""
        return self.step.forward(self, tokens[:, None])

    def take(self, indices: Sequence[int]) -> TransformersCacheState:
        """These rows, in this order, with copies of their states: `advance` changes states in place."""
        chosen = torch.tensor(indices, device=self.logits.device)
        cache = copy.deepcopy(self.cache)
        cache.reorder_cache(cast(torch.LongTensor, chosen))
        return replace(self, cache=cache, logits=self.logits[chosen])


class TransformersCacheStep:
    """Runs a model with the cache that transformers makes for its configuration, whatever its layers are."""

    label = "equal-length batches"
    joins, equal_lengths, caches = False, True, True

    def __init__(self, model: PreTrainedModel, cache_name: str) -> None:
        self._model, self._cache_name = model, cache_name
        accepted = inspect.signature(model.forward).parameters
        self._last_only: dict[str, int] = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        self._takes_positions = "position_ids" in accepted

    def prefill(self, prompts: Sequence[Sequence[int]], decoder_start_token_id: int = 0) -> TransformersCacheState:
        """Read prompts of one length, one row each; `decoder_start_token_id` is not used."""
        ids = torch.tensor([list(prompt) for prompt in prompts], device=self._model.device)
        cache = DynamicCache(config=self._model.config)
        return self.forward(TransformersCacheState(self, cache, 0, torch.empty(0)), ids)

    def row_bytes(self, length: int) -> int:
        """Bytes of a row's state, and of all that its tokens add to it."""
        one, two = (self._cache_bytes(n) for n in (1, 2))
        return one + (length - 1) * (two - one)

    def _cache_bytes(self, length: int) -> int:
        return sum(t.nbytes for layer in self.prefill([[0] * length]).cache.layers for t in tensors_in(vars(layer)))

    def forward(self, state: TransformersCacheState, ids: Tensor) -> TransformersCacheState:
        """Append token ids int64 [rows, new] to a state, whose cache is changed."""
        given = {"input_ids": ids, self._cache_name: state.cache, "use_cache": True, **self._last_only}
        length = state.length + ids.shape[1]
        if self._takes_positions:  # some count from 0 at each step unless they are told
            given["position_ids"] = torch.arange(state.length, length, device=ids.device).expand_as(ids)
        return replace(state, length=length, logits=self._model(**given).logits[:, -1])


@dataclass(frozen=True)
class RecomputeState:
    """Rows as token ids int64 [rows, length]; `logits` [rows, vocabulary] predict the next token.

    `encoded` is an encoder's output [rows, source length, width] with its mask [rows, source length].
    """

    step: RecomputeStep
    ids: Tensor
    logits: Tensor
    encoded: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        return len(self.logits)

    def advance(self, tokens: Tensor, alive: Tensor) -> RecomputeState:
        """Append tokens int64 [rows], also to rows that are not `alive`."""
        return self.step.forward(replace(self, ids=torch.cat([self.ids, tokens[:, None]], dim=1)))

    def take(self, indices: Sequence[int]) -> RecomputeState:
        """These rows, in this order."""
        chosen = torch.tensor(indices, device=self.ids.device)
        encoded = (self.encoded[0][chosen], self.encoded[1][chosen]) if self.encoded else None
        return RecomputeState(self.step, self.ids[chosen], self.logits[chosen], encoded)


class RecomputeStep:
    """Runs a model over the whole text for each new token, with the inputs that transformers' `generate` gives it."""

    label = "recomputed for each token"
    joins, caches = False, False

    def __init__(self, model: PreTrainedModel, pad_token_id: int) -> None:
        self._model, self._pad_token_id = model, pad_token_id
        self.equal_lengths = not model.config.is_encoder_decoder
        accepted = inspect.signature(model.forward).parameters
        self._takes_positions = "position_ids" in accepted and self.equal_lengths

    def prefill(self, prompts: Sequence[Sequence[int]], decoder_start_token_id: int = 0) -> RecomputeState:
        """Read prompts, one row each, of one length unless an encoder reads them."""
        device = self._model.device
        ids, mask = padded_rows(prompts, self._pad_token_id, device, left=False)
        if self.equal_lengths:
            return self.forward(RecomputeState(self, ids, torch.empty(0)))
        states = self._model.get_encoder()(input_ids=ids, attention_mask=mask).last_hidden_state
        start = torch.full((len(prompts), 1), decoder_start_token_id, device=device)
        return self.forward(RecomputeState(self, start, torch.empty(0), (states, mask)))

    def row_bytes(self, length: int) -> int:
        """Bytes that a layer computes of a row, roughly; none of them last."""
        return length * int(self._model.config.get_text_config(decoder=True).hidden_size) * _ACTIVATION_BYTES

    def forward(self, state: RecomputeState) -> RecomputeState:
        """Compute the logits of the token after all of a state's."""
        ids, more = state.ids, {}
        if state.encoded:
            output = BaseModelOutput(last_hidden_state=state.encoded[0])
            more = {"encoder_outputs": output, "attention_mask": state.encoded[1]}
        elif self._takes_positions:
            more = {"position_ids": torch.arange(ids.shape[1], device=ids.device).expand_as(ids)}
        inputs = self._model.prepare_inputs_for_generation(  # type: ignore[operator]
            ids, is_first_iteration=True, use_cache=False, **more
        )
        return replace(state, logits=self._model(**inputs).logits[:, -1])
