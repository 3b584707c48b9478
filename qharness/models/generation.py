"""Generates completions for a batch of prompts: sampling, stop sequences as text, prompts cut to fit."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)

from qharness.errors import ModelError
from qharness.models.sampling import Draw, GumbelMax

_KNOWN = frozenset({"do_sample", "temperature", "top_p", "max_gen_toks", "until", "num_beams"})
_ALIASES = {"max_new_tokens": "max_gen_toks", "max_tokens": "max_gen_toks", "stop": "until"}


@dataclass(frozen=True)
class Decoding:
    """How to choose tokens, and when to stop. Temperature 0 is greedy."""

    temperature: float
    top_p: float
    max_new_tokens: int
    until: tuple[str, ...]
    num_beams: int

    @classmethod
    def from_lm_eval(cls, arguments: Mapping[str, Any], default_max_new_tokens: int) -> Decoding:
        """Read a task's generation_kwargs; raise ModelError for one that would be ignored."""
        given = {_ALIASES.get(key, key): value for key, value in arguments.items()}
        if unknown := sorted(set(given) - _KNOWN):
            raise ModelError(f"generation option {unknown[0]!r} is not supported; known: {', '.join(sorted(_KNOWN))}")
        temperature = float(given.get("temperature") or 0.0)
        if not given.get("do_sample", temperature > 0):
            temperature = 0.0
        until = given.get("until") or ()
        return cls(
            temperature=temperature,
            top_p=float(given.get("top_p") or 1.0),
            max_new_tokens=int(given.get("max_gen_toks") or default_max_new_tokens),
            until=(until,) if isinstance(until, str) else tuple(until),
            num_beams=int(given.get("num_beams") or 1),
        )


def prompt_sha(prompt: str) -> str:
    """The first 16 hexadecimal digits of a prompt's sha256."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def cut_at_stop(text: str, until: Sequence[str]) -> str:
    """`text` up to the first of the stop sequences."""
    ends = [position for stop in until if stop and (position := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


class StopAtText(StoppingCriteria):
    """A row is done once a stop sequence stands in the text of its generated part.

    Only a tail of tokens is decoded each step: a token that adds to the text adds at least one of its bytes, so a
    stop sequence that has just come whole lies within as many tokens as it has bytes.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, until: Sequence[str], start: int) -> None:
        self._tokenizer = tokenizer
        self._until = until
        self._start = start
        self._window = max(len(stop.encode()) for stop in until) + 8

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """input_ids [batch, length] to bool [batch]."""
        tail = input_ids[:, max(self._start, input_ids.shape[1] - self._window) :]
        texts = self._tokenizer.batch_decode(tail, skip_special_tokens=True)
        done = [any(stop in text for stop in self._until) for text in texts]
        return torch.tensor(done, device=input_ids.device)


def _padded(ids: Sequence[int], width: int, pad: int, *, left: bool) -> list[int]:
    """A decoder goes on where its prompt ends; an encoder counts positions from where it begins."""
    padding = [pad] * (width - len(ids))
    return [*padding, *ids] if left else [*ids, *padding]


@dataclass
class Generation:
    """Generates with one model. `truncated` counts the prompts that were cut from the left to fit."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    seed: int
    truncated: int = 0

    def fit(self, ids: Sequence[int], decoding: Decoding) -> list[int]:
        """Cut a causal model's prompt from the left if it leaves no room.

        The prompt comes first: it is cut only where it would leave less than both `max_new_tokens` and half of the
        context for the completion.
        """
        room = self.max_length
        if not self.model.config.is_encoder_decoder:
            room -= min(decoding.max_new_tokens, self.max_length // 2)
        if len(ids) > room:
            self.truncated += 1
        return list(ids[-room:])

    def __call__(self, prompts: Sequence[Sequence[int]], draws: Sequence[Draw], decoding: Decoding) -> list[str]:
        """Complete each prompt (token ids, already fitted); the text up to the first stop sequence."""
        width = max(map(len, prompts))
        pad = int(self.tokenizer.pad_token_id or 0)
        causal = not self.model.config.is_encoder_decoder
        rows = [_padded(p, width, pad, left=causal) for p in prompts]
        mask = [_padded([1] * len(p), width, 0, left=causal) for p in prompts]
        start = width if causal else 1
        room = self.max_length - (width if causal else 0)
        config = self._config(decoding, min(decoding.max_new_tokens, room), pad)
        processors = LogitsProcessorList()
        if decoding.temperature > 0 and decoding.num_beams == 1:
            processors.append(GumbelMax(self.seed, draws, decoding.temperature, decoding.top_p))
        stopping = StoppingCriteriaList()
        if decoding.until and decoding.num_beams == 1:
            stopping.append(StopAtText(self.tokenizer, decoding.until, start))
        device = self.model.device
        with torch.inference_mode():
            output = self.model.generate(  # type: ignore[operator]
                input_ids=torch.tensor(rows, device=device),
                attention_mask=torch.tensor(mask, device=device),
                generation_config=config,
                logits_processor=processors,
                stopping_criteria=stopping,
            )
        texts = self.tokenizer.batch_decode(output[:, start if causal else 0 :], skip_special_tokens=True)
        return [cut_at_stop(text, decoding.until) for text in texts]

    def _config(self, decoding: Decoding, max_new_tokens: int, pad: int) -> GenerationConfig:
        """The model's own configuration less its sampling: the argmax decides, after the noise if there is any."""
        config = copy.deepcopy(self.model.generation_config) or GenerationConfig()
        if config.eos_token_id is None:
            config.eos_token_id = self.tokenizer.eos_token_id
        config.update(
            do_sample=False,
            temperature=1.0,
            top_p=1.0,
            top_k=50,
            num_beams=decoding.num_beams,
            max_new_tokens=max_new_tokens,
            max_length=None,
            pad_token_id=pad,
            use_cache=True,
        )
        return config
