"""How a model is run a token at a time: with a cache of keys and values, with transformers' own cache, or with none.

The first of these that fits is chosen by the model's signature and by the cache that transformers makes for it. Where
that does not settle it, a short text must show that steps give what the whole text gives.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import (
    Cache,
    DummyLayer,
    DynamicCache,
    DynamicIndexedLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
    LinearAttentionLayer,
)

from qharness.errors import ModelError, first_line
from qharness.models.kv_cache import Stepper
from qharness.models.nonfinite import nonfinite_error, rows_not_finite, whole_text
from qharness.models.whole_steps import OwnCacheStep, RecomputeStep
from qharness.progress import note

_KEYS_AND_VALUES = frozenset({DynamicLayer, DynamicSlidingWindowLayer})
_MOVABLE = _KEYS_AND_VALUES | {
    DummyLayer,
    DynamicIndexedLayer,
    LinearAttentionLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
}
_CACHE_NAMES = ("past_key_values", "cache_params")
_PROMPT, _NEW = 5, 2  # tokens of the text that a model is checked on
_TOLERANCE = 0.25  # relative; a lost state is about 1, rounding of activations to 8 bits under 0.1


class BatchState(Protocol):
    """Completions in flight, or prompts that wait to become some; `logits` [rows, vocabulary] are of the next token."""

    @property
    def logits(self) -> Tensor:
        """Of the next token, [rows, vocabulary]."""
        ...

    def __len__(self) -> int: ...

    def take(self, indices: Sequence[int]) -> BatchState:
        """These rows, in this order; one may be taken several times."""
        ...


class ModelStep(Protocol):
    """Runs one model over rows.

    `joins`: rows may begin while others are in flight; `equal_lengths`: prompts that start together must be equally
    long; `caches`: a step computes the new token only; `label` names it in a run's notes and in the docs.
    """

    label: str
    joins: bool
    equal_lengths: bool
    caches: bool

    def start(self, prompts: Sequence[Sequence[int]], first: int = 0) -> BatchState:
        """One row a prompt; `first` is the token that a decoder begins with, where there is an encoder."""
        ...

    def step(self, rows: Any, tokens: Tensor, alive: Tensor) -> BatchState:
        """One token int64 [rows] more in each row of a state of this kind; those not `alive` may stay."""
        ...

    def row_bytes(self, length: int) -> int:
        """What a row of so many tokens takes in memory, logits aside."""
        ...


def choose_step(model: PreTrainedModel, pad: int, text: Sequence[int], first: int) -> ModelStep:
    """The way to run a model; `text` is token ids to try it on, `first` the token that a decoder begins with.

    Steps that are not trusted must give the logits of the whole text; where they do not, nothing is cached, which is
    slow. Raises ModelError for a model that cannot be run on text at all.
    """
    chosen, recompute = candidate_step(model, pad), RecomputeStep(model, pad)
    if isinstance(chosen, RecomputeStep) or _is_trusted(model, chosen):
        return chosen
    # Of one token over and over, a row that took another's place would not show.
    text = list(dict.fromkeys([*text, *range(_PROMPT + _NEW)]))[: _PROMPT + _NEW]
    with torch.inference_mode():
        require_runs(model, recompute, text, first)
        if step_difference(chosen, recompute, text, first) <= _TOLERANCE:
            return chosen
    note(f"{type(model).__name__}: {chosen.label} do not give what whole texts give: {recompute.label}, slowly")
    return recompute


def candidate_step(model: PreTrainedModel, pad: int) -> ModelStep:
    """The fastest way to run a model that its signature and transformers' cache for it allow; nothing is computed."""
    layers, name = _layer_types(model), cache_name(model)
    if name == "past_key_values" and layers <= _KEYS_AND_VALUES:
        return Stepper(model, pad)
    if name and layers <= _MOVABLE and not model.config.is_encoder_decoder:
        return OwnCacheStep(model, name)
    return RecomputeStep(model, pad)


@torch.inference_mode()
def require_runs(model: PreTrainedModel, step: ModelStep, text: Sequence[int], first: int) -> None:
    """Run a short text; raise ModelError for a model that cannot, or that gives no logits of a next token."""
    name = type(model).__name__
    try:
        logits = step.start([text], first).logits
    except Exception as error:  # whatever a model's code raises of plain text
        raise ModelError(f"{name} cannot complete plain text: {first_line(error)}") from None
    if logits.dim() != 2 or len(logits) != 1:
        raise ModelError(f"{name} cannot complete plain text: its logits have the shape {[*logits.shape]}")
    if rows_not_finite(logits):
        raise nonfinite_error(model, whole_text(model, text, (), first))


def step_difference(step: ModelStep, reference: ModelStep, text: Sequence[int], first: int = 0) -> float:
    """How far the logits of two ways are apart after a few tokens, relatively; infinite if `step` fails."""
    shorter = text[1:_PROMPT] if not step.equal_lengths else text[1 : _PROMPT + 1]
    prompts = [list(text[:_PROMPT]), list(shorter)]
    expected = [reference.start([prompt], first) for prompt in prompts]
    try:
        rows = step.start(prompts, first).take([1, 0])
        for token in text[-_NEW:]:
            tokens = rows.logits.new_full((2,), token, dtype=torch.int64)
            rows = step.step(rows, tokens, torch.ones_like(tokens, dtype=torch.bool))
            expected = [reference.step(row, tokens[:1], torch.ones_like(tokens[:1])) for row in expected]
    except Exception:
        return float("inf")
    wanted = torch.cat([expected[1].logits, expected[0].logits]).float()
    wanted = wanted - wanted.mean(dim=-1, keepdim=True)
    found = rows.logits.float() - rows.logits.float().mean(dim=-1, keepdim=True)
    worst = ((found - wanted).norm(dim=-1) / wanted.norm(dim=-1).clamp(min=1e-30)).max()
    return float(worst.nan_to_num(float("inf")))


def cache_name(model: PreTrainedModel) -> str | None:
    """The parameter that a model takes transformers' cache by; None if by none."""
    supports = getattr(model, "_supports_default_dynamic_cache", None)
    if supports is not None and not supports():
        return None
    accepted = inspect.signature(model.forward).parameters
    return next((name for name in _CACHE_NAMES if name in accepted), None)


def _layer_types(model: PreTrainedModel) -> frozenset[type]:
    """The types of layers in the cache that transformers makes for a model; `object` where it makes none."""
    try:
        cache: Cache = DynamicCache(config=model.config)
    except (AttributeError, KeyError, TypeError, ValueError):
        return frozenset({object})
    return frozenset(type(layer) for layer in cache.layers)


def _is_trusted(model: PreTrainedModel, step: ModelStep) -> bool:
    """Whether a class is transformers' own, keeps nothing but keys and values, and is told its tokens' positions.

    Others may count positions wrongly where a row is padded, or keep a state in their modules, beside the cache.
    """
    told = model.config.is_encoder_decoder or "position_ids" in inspect.signature(model.forward).parameters
    return told and not step.equal_lengths and type(model).__module__.startswith("transformers.models.")
