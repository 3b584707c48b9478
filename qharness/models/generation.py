"""Generates completions: truncates prompts, sizes batches by the free memory, searches with beams if a task asks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import psutil
import torch
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase

from qharness.errors import ModelError
from qharness.models.conventions import marked, with_bos_token
from qharness.models.decoding import Decoding, cut_at_stop
from qharness.models.detokenization import CompletionText, Detokenizer
from qharness.models.encoding import AddedTokens, cut_prompt, encode_text, longest_prompt
from qharness.models.engine import Engine, GenerationSettings, Prompt
from qharness.models.inputs import decoder_start_token_id
from qharness.models.kv_cache import padded_rows
from qharness.models.model_step import ModelStep, choose_step, require_runs
from qharness.models.nonfinite import FiniteScores, nonfinite_error, whole_text
from qharness.models.onednn_linear import onednn_linear
from qharness.models.sampling import SampleKey
from qharness.models.special_tokens import EndTokens
from qharness.progress import note

MAX_BATCH_SIZE = {"cpu": 256, "cuda": 512}
_MEMORY_SHARE = 0.5  # of the free memory, for keys and values
_COPIES = 3  # of them at worst: the buffer that grows, and the one that rows are moved to
_SAMPLING = ("do_sample", "temperature", "top_p", "top_k", "num_beams", "max_length", "max_new_tokens")
_TOKENS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
_OTHERS = ("use_cache", "return_dict_in_generate", "transformers_version", "_from_model_config")
_DECIDED_ELSEWHERE = frozenset((*_SAMPLING, *_TOKENS, *_OTHERS))
_SHORT_TEXT = "def add(first, second):\n"
_LOGITS_BYTES = 32  # a token of the vocabulary and row, in sampling


@dataclass
class Generation:
    """Generates with one model, whose context is `max_length` tokens.

    `truncated` counts the prompts that were cut from the left to fit, `shortened` those of which the task reads the
    beginning only, `tokens` those that were generated. `ignore_eos`: no token ends a completion, so that each has all
    of its new tokens.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    seed: int
    truncated: int = 0
    shortened: int = 0
    tokens: int = 0
    ignore_eos: bool = False

    @cached_property
    def step(self) -> ModelStep:
        """The step that runs the model a token at a time."""
        return choose_step(self.model, self._pad_token_id, self._short_text(), self.decoder_start_token_id)

    def check(self) -> None:
        """Run the model on a short text; raise ModelError if it cannot complete any."""
        require_runs(self.model, self.step, self._short_text(), self.decoder_start_token_id)

    def nonfinite(self, ids: Sequence[int]) -> ModelError:
        """The error to raise for a text whose logits are not finite."""
        return nonfinite_error(self.model, whole_text(self.model, ids, (), self.decoder_start_token_id))

    def _short_text(self) -> list[int]:
        encoder = bool(self.model.config.is_encoder_decoder)
        return encode_text(self.tokenizer, _SHORT_TEXT, encoder=encoder) or [self.start_token_id()]

    def truncate_prompt(self, ids: Sequence[int], decoding: Decoding) -> tuple[int, ...]:
        """Cut a causal model's prompt from the left to fit its context; an empty one becomes a start token.

        The prompt goes first: it is cut only where less than both `max_new_tokens` and half of the context would be
        left for the completion. The tokens that begin each text stay.
        """
        longest = self.max_length
        if not self.model.config.is_encoder_decoder:
            longest = longest_prompt(self.max_length, decoding.max_new_tokens)
        self.truncated += len(ids) > longest
        return cut_prompt(ids, self._bos_token_ids, longest) or (self.start_token_id(),)

    def max_batch_size(self, prompts: Sequence[Prompt], decoding: Decoding) -> int:
        """The completions that fit into memory at a time, by the bytes that one token's cache takes: a power of two.

        Free memory is never twice the same, and where activations are rounded a completion may depend on how many are
        made at a time.
        """
        row_bytes = self.row_bytes(prompts, decoding)
        device = self.model.device
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
        most = MAX_BATCH_SIZE.get(device.type, MAX_BATCH_SIZE["cpu"])
        fit = max(1, min(most // decoding.num_beams, int(free * _MEMORY_SHARE / row_bytes)))
        return 1 << (fit.bit_length() - 1)

    def row_bytes(self, prompts: Sequence[Prompt], decoding: Decoding) -> int:
        """The most bytes that one completion of these prompts takes while it is made, beside the model's own."""
        longest = max(len(prompt.ids) for prompt in prompts)
        length = min(longest + decoding.max_new_tokens, self.max_length)
        with torch.inference_mode():
            logits = self.step.prefill([[self.start_token_id()]], self.decoder_start_token_id).logits
            row = self.step.row_bytes(length) * _COPIES + logits.shape[-1] * _LOGITS_BYTES
        return int(row * decoding.num_beams)

    def __call__(
        self, prompts: Sequence[Prompt], decoding: Decoding, batch_size: int, *, halve: bool = True
    ) -> Iterator[tuple[int, SampleKey, str]]:
        """Yield (number of the prompt, sample, text up to the first stop sequence) of each completion as it ends.

        At most `batch_size` are made at a time; half as many where memory runs out, if `halve`. Raises ModelError
        where memory does not suffice for one, or may not be halved, and for a token of a prompt that the model lacks.
        """
        self._require_known(prompts)
        complete: Callable[[Sequence[Prompt], int], Iterator[tuple[int, SampleKey, str]]]
        if decoding.num_beams > 1:
            complete = partial(self._beams, decoding)
        else:
            settings = GenerationSettings(
                decoding, self.seed, self.max_length, self._end_tokens(decoding),
                bool(self.model.config.is_encoder_decoder), self.decoder_start_token_id,
            )  # fmt: skip
            complete = Engine(self.model, self.step, self.detokenizer, settings, self._count).complete
        left = dict(enumerate(prompts))
        while left:
            numbers = list(left)
            try:
                for index, key, text in complete([left[number] for number in numbers], batch_size):
                    number = numbers[index]
                    yield number, key, text
                    samples = tuple(each for each in left[number].samples if each != key)
                    left[number] = replace(left[number], samples=samples)
                return
            except RuntimeError as error:
                if not _out_of_memory(error):
                    raise
                if batch_size == 1 or not halve:
                    raise ModelError(f"memory does not suffice for --batch-size {batch_size}") from None
            left = {number: prompt for number, prompt in left.items() if prompt.samples}
            batch_size //= 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            note(f"out of memory: going on with {batch_size} completions at a time")

    def _count(self, tokens: int) -> None:
        self.tokens += tokens

    def _require_known(self, prompts: Sequence[Prompt]) -> None:
        absent = next((token for prompt in prompts for token in prompt.ids if token >= self._vocabulary), None)
        if absent is not None:
            raise ModelError(
                f"a prompt holds {self.tokenizer.convert_ids_to_tokens(absent)!r}, token {absent}, and the model knows "
                f"{self._vocabulary} tokens: its tokenizer is another model's, or has tokens that it was not trained on"
            )

    def unused_settings(self) -> list[str]:
        """The checkpoint's own generation settings that are not followed, a repetition penalty for one."""
        given = self.model.generation_config.to_diff_dict() if self.model.generation_config else {}
        return sorted(f"{name}={value}" for name, value in given.items() if value and name not in _DECIDED_ELSEWHERE)

    @cached_property
    def detokenizer(self) -> Detokenizer:
        """The detokenizer of the model's tokenizer."""
        return Detokenizer(self.tokenizer)

    @cached_property
    def _vocabulary(self) -> int:
        return int(self.model.config.get_text_config(decoder=True).vocab_size)

    @cached_property
    def _bos_token_ids(self) -> tuple[int, ...]:
        """The tokens that every prompt begins with."""
        added = AddedTokens.of(self.tokenizer)
        return tuple(with_bos_token(list(added.before), marked(self.model.config), self.tokenizer))

    @property
    def _pad_token_id(self) -> int:
        """A token of the model's; any will do, for its positions are masked."""
        pad = self.tokenizer.pad_token_id
        return pad if pad is not None and pad < self._vocabulary else 0

    @property
    def decoder_start_token_id(self) -> int:
        """The token that a decoder starts with, 0 where nothing names one."""
        return decoder_start_token_id(self.model) or 0

    def start_token_id(self) -> int:
        """The token that a text begins with; where the tokenizer has none for it, another of the model's."""
        known = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.tokenizer.pad_token_id)
        return next((int(token) for token in known if token is not None and token < self._vocabulary), 0)

    def _end_tokens(self, decoding: Decoding) -> EndTokens:
        """The tokens that end a completion: end tokens, special tokens, and those that a stop sequence names."""
        if self.ignore_eos:
            return EndTokens()
        is_encoder_decoder = self.model.config.is_encoder_decoder
        special = self.detokenizer.special
        return EndTokens.of(special, self._eos_token_ids(), decoding.until, encoder_decoder=is_encoder_decoder)

    def _eos_token_ids(self) -> frozenset[int]:
        """The tokens that end a text, from the checkpoint's generation settings or else from its tokenizer."""
        if self.ignore_eos:
            return frozenset()
        given = self.model.generation_config.eos_token_id if self.model.generation_config else None
        if given is None:
            given = self.tokenizer.eos_token_id
        return frozenset() if given is None else frozenset([given] if isinstance(given, int) else given)

    def _beams(
        self, decoding: Decoding, prompts: Sequence[Prompt], batch_size: int
    ) -> Iterator[tuple[int, SampleKey, str]]:
        """Search with transformers' beams; all samples of one prompt are the same.

        Prompts searched together have the same limit, so that none's completion depends on the others.
        """
        causal, ends = not self.model.config.is_encoder_decoder, self._end_tokens(decoding)
        limits = [
            min(decoding.max_new_tokens, self.max_length - (len(prompt.ids) if causal else 1)) for prompt in prompts
        ]
        # Padding would stay in a state that is no key-value cache.
        lengths = [len(prompt.ids) if self.step.equal_lengths else 0 for prompt in prompts]
        groups = list(zip(limits, lengths, strict=True))
        for (limit, _), alike in itertools.groupby(range(len(prompts)), key=groups.__getitem__):
            numbers = list(alike)
            for start in range(0, len(numbers), batch_size):
                chunk = numbers[start : start + batch_size]
                rows = [prompts[number].ids for number in chunk]
                ids, mask = padded_rows(rows, self._pad_token_id, self.model.device, left=causal)
                found = self._search(ids, mask, decoding, limit)
                for number, tokens in zip(chunk, found, strict=True):
                    own = ends.cut(tokens)
                    text = CompletionText(self.detokenizer, prompts[number].ids if causal else ()).of(own)
                    self._count(len(own))
                    for key in prompts[number].samples:
                        yield number, key, cut_at_stop(text, decoding.until)

    @torch.inference_mode()
    def _search(self, ids: torch.Tensor, mask: torch.Tensor, decoding: Decoding, limit: int) -> list[list[int]]:
        """At most `limit` new tokens a row, which transformers finds for ids and mask int64 [rows, length]."""
        # Nothing of the checkpoint's own but the tokens that begin and end a text.
        config = GenerationConfig(
            do_sample=False,
            num_beams=decoding.num_beams,
            early_stopping=decoding.early_stopping,
            max_new_tokens=limit,
            eos_token_id=sorted(self._eos_token_ids()) or None,
            pad_token_id=self._pad_token_id,
            decoder_start_token_id=self.decoder_start_token_id,
            use_cache=self.step.caches,
        )
        watch = LogitsProcessorList([FiniteScores(self.model, ids, mask, config.num_beams)])
        given = {"input_ids": ids, "attention_mask": mask, "generation_config": config, "logits_processor": watch}
        # transformers fills the gaps of a configuration from the model's own, so that one is put aside.
        own, self.model.generation_config = self.model.generation_config, GenerationConfig()
        try:
            with onednn_linear():
                output = self.model.generate(**given)  # type: ignore[operator]
        finally:
            self.model.generation_config = own
        start = 1 if self.model.config.is_encoder_decoder else ids.shape[1]
        found: list[list[int]] = output[:, start:].tolist()
        return found


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: CUDA has an exception of its own for it, the CPU's allocator only a message."""
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)
