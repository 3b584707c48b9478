"""Steps run a model a token at a time: with a cache of keys and values, with transformers' own cache, or with none.

The first of these that fits a model's signature, and the cache that transformers makes for it, is chosen. Where that is
no proof, the steps must give a short text the logits that the whole text has.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import (
    DummyLayer,
    DynamicIndexedLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
    LinearAttentionLayer,
)

from qharness.errors import ModelError, first_line
from qharness.models.fallback_steps import RecomputeStep, TransformersCacheStep
from qharness.models.kv_cache import KeyValueStep, layer_types
from qharness.models.logits_distance import logits_distance
from qharness.models.nonfinite import nonfinite_error, rows_not_finite, whole_text
from qharness.progress import note

_KEYS_AND_VALUES = frozenset({DynamicLayer, DynamicSlidingWindowLayer})
_MOVABLE = _KEYS_AND_VALUES | {
    DummyLayer,
    DynamicIndexedLayer,
    LinearAttentionLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
}
_CACHE_NAMES = ("past_key_values", "cache_params", "cache")
"""Parameters that take transformers' cache; since its version 5.24 `cache` is that of all its own models."""
_PROMPT, _NEW = 5, 2  # tokens of the text that a model is checked on
_TOLERANCE = 0.25  # relative; a lost state is about 1, rounding of activations to 8 bits under 0.1


class BatchState(Protocol):
    """Completions in flight, or prefilled prompts, a row each."""

    @property
    def logits(self) -> Tensor:
        """Of the next token, [rows, vocabulary]."""
        ...

    def __len__(self) -> int: ...

    def take(self, indices: Sequence[int]) -> BatchState:
        """These rows, in this order, some perhaps several times."""
        ...

    def advance(self, tokens: Tensor, alive: Tensor) -> BatchState:
        """Append one token to each row, int64 [rows]; rows not `alive`, bool [rows], are never looked at again."""
        ...


class ModelStep(Protocol):
    """Runs one model over rows, a token at a time.

    `joins`: rows may begin while others are in flight; `equal_lengths`: prompts that start together must be equally
    long; `caches`: a step computes the new token only; `label` names it in a run's notes and in the docs.
    """

    label: str
    joins: bool
    equal_lengths: bool
    caches: bool

    def prefill(self, prompts: Sequence[Sequence[int]], decoder_start_token_id: int = 0) -> BatchState:
        """Read prompts, one row each; an encoder-decoder model's decoder reads `decoder_start_token_id`."""
        ...

    def row_bytes(self, length: int) -> int:
        """Bytes of a row of so many tokens, without its logits."""
        ...


def choose_step(
    model: PreTrainedModel, pad_token_id: int, text: Sequence[int], decoder_start_token_id: int
) -> ModelStep:
    """The fastest step that is right for a model; `text` is token ids to try it on.

    A step that is not trusted must give the logits of the whole text; if it does not, nothing is cached, which is slow.
    Raises ModelError for a model that cannot be run on text at all.
    """
    chosen, recompute = candidate_step(model, pad_token_id), RecomputeStep(model, pad_token_id)
    if isinstance(chosen, RecomputeStep) or _is_trusted(model, chosen):
        return chosen
    # In a text of equal tokens, a row in another's place would not show.
    text = list(dict.fromkeys([*text, *range(_PROMPT + _NEW)]))[: _PROMPT + _NEW]
    with torch.inference_mode():
        require_runs(model, recompute, text, decoder_start_token_id)
        if step_difference(chosen, recompute, text, decoder_start_token_id) <= _TOLERANCE:
            return chosen
    note(f"{type(model).__name__}: {chosen.label} do not give what whole texts give: {recompute.label}, slowly")
    return recompute


def candidate_step(model: PreTrainedModel, pad_token_id: int) -> ModelStep:
    """The fastest step that a model's signature and transformers' cache for it allow; nothing is computed."""
    layers, name = layer_types(model), cache_name(model)
    if name in ("past_key_values", "cache") and layers <= _KEYS_AND_VALUES:
        return KeyValueStep(model, pad_token_id, name)
    if name and layers <= _MOVABLE and not model.config.is_encoder_decoder:
        return TransformersCacheStep(model, name)
    return RecomputeStep(model, pad_token_id)


@torch.inference_mode()
def require_runs(model: PreTrainedModel, step: ModelStep, text: Sequence[int], decoder_start_token_id: int) -> None:
    """Run a short text; raise ModelError for a model that cannot, or that gives no logits of a next token."""
    name = type(model).__name__
    try:
        logits = step.prefill([text], decoder_start_token_id).logits
    except Exception as error:  # a model's code may raise anything
        raise ModelError(f"{name} cannot complete plain text: {first_line(error)}") from None
    if logits.dim() != 2 or len(logits) != 1:
        raise ModelError(f"{name} cannot complete plain text: its logits have the shape {[*logits.shape]}")
    if rows_not_finite(logits):
        raise nonfinite_error(model, whole_text(model, text, (), decoder_start_token_id))


def step_difference(
    step: ModelStep, reference: ModelStep, text: Sequence[int], decoder_start_token_id: int = 0
) -> float:
    """The relative distance between two steps' logits after a few tokens; infinite if `step` fails."""
    shorter = text[1:_PROMPT] if not step.equal_lengths else text[1 : _PROMPT + 1]
    prompts = [list(text[:_PROMPT]), list(shorter)]
    expected = [reference.prefill([prompt], decoder_start_token_id) for prompt in prompts]
    try:
        state = step.prefill(prompts, decoder_start_token_id).take([1, 0])
        for token in text[-_NEW:]:
            tokens = state.logits.new_full((2,), token, dtype=torch.int64)
            state = state.advance(tokens, torch.ones_like(tokens, dtype=torch.bool))
            expected = [each.advance(tokens[:1], torch.ones_like(tokens[:1])) for each in expected]
    except Exception:
        return float("inf")
    return logits_distance(state.logits, torch.cat([expected[1].logits, expected[0].logits]))


def cache_name(model: PreTrainedModel) -> str | None:
    """The name of the parameter by which a model takes transformers' cache; None if it takes none."""
    supports = getattr(model, "_supports_default_dynamic_cache", None)
    if supports is not None and not supports():
        return None
    accepted = inspect.signature(model.forward).parameters
    return next((name for name in _CACHE_NAMES if name in accepted), None)


def _is_trusted(model: PreTrainedModel, step: ModelStep) -> bool:
    """Whether a class is transformers' own, has no state but keys and values, and is told its tokens' positions.

    Others may count positions wrongly where a row is padded, or have a state in their modules, beside the cache.
    """
    told = model.config.is_encoder_decoder or "position_ids" in inspect.signature(model.forward).parameters
    return told and not step.equal_lengths and type(model).__module__.startswith("transformers.models.")
