"""Stands in for vLLM, which wants a GPU: as much of its interface as lm-eval's model class uses, on transformers.

It generates one request at a time, with the request's own seed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, TypedDict

import torch
import transformers

MADE: list[dict[str, Any]] = []
"""The arguments of each LLM, and how many completions were asked of it."""


class TokensPrompt(TypedDict):
    prompt_token_ids: list[int]


@dataclass(frozen=True)
class SamplingParams:
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: list[str] = field(default_factory=list)
    max_tokens: int | None = 16
    prompt_logprobs: int | None = None
    detokenize: bool = True
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True
    stop_token_ids: list[int] = field(default_factory=list)


class LLM:
    def __init__(self, model: str, tokenizer: str | None, dtype: str, max_model_len: int | None, **others: Any) -> None:
        self._model = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=dtype).eval()
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer or model)
        length = max_model_len or self._model.config.max_position_embeddings
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=length))
        self._asked = {"model": model, "tokenizer": tokenizer, "dtype": dtype, **others, "completions": 0}
        MADE.append(self._asked)

    def generate(
        self, prompts: list[TokensPrompt], sampling_params: list[SamplingParams], use_tqdm: bool, lora_request: None
    ) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(outputs=[SimpleNamespace(text=self._complete(prompt["prompt_token_ids"], params))])
            for prompt, params in zip(prompts, sampling_params, strict=True)
        ]

    def _complete(self, ids: list[int], params: SamplingParams) -> str:
        self._asked["completions"] += 1
        if params.seed is not None:
            torch.manual_seed(params.seed)
        sampled = params.temperature > 0
        output = self._model.generate(
            torch.tensor([ids]),
            max_new_tokens=params.max_tokens,
            do_sample=sampled,
            **({"temperature": params.temperature, "top_p": params.top_p, "top_k": 0} if sampled else {}),
        )
        made = list(
            itertools.takewhile(lambda token: token not in params.stop_token_ids, output[0, len(ids) :].tolist())
        )
        # vLLM decodes what it makes with the prompt's last tokens before it.
        before, whole = (self._tokenizer.decode(each, skip_special_tokens=True) for each in (ids, [*ids, *made]))
        text = whole[len(before) :]
        ends = [text.find(stop) for stop in params.stop if stop in text]
        return text[: min(ends)] if ends else text
