"""Generates completions: prompts cut to fit, as many at a time as memory holds, beam search where a task wants it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import psutil
import torch
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase

from qharness.errors import ModelError
from qharness.models.conventions import begun, marked
from qharness.models.decoding import Decoding, cut_at_stop
from qharness.models.detokenization import CompletionText, Detokenizer
from qharness.models.encoding import AddedTokens, encode_text
from qharness.models.engine import Engine, Prompt, Settings
from qharness.models.inputs import decoder_start
from qharness.models.kv_cache import rectangle
from qharness.models.model_step import ModelStep, choose_step, require_runs
from qharness.models.nonfinite import FiniteScores, nonfinite_error, whole_text
from qharness.models.sampling import Draw
from qharness.models.special_tokens import EndTokens
from qharness.progress import note

MOST_AT_A_TIME = {"cpu": 256, "cuda": 512}
_MEMORY_SHARE = 0.5  # of what is free, for keys and values
_COPIES = 3  # of them at worst: the buffer with room to grow, and the one that rows are moved to
_SAMPLING = ("do_sample", "temperature", "top_p", "top_k", "num_beams", "max_length", "max_new_tokens")
_TOKENS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
_OTHERS = ("use_cache", "return_dict_in_generate", "transformers_version", "_from_model_config")
_DECIDED_ELSEWHERE = frozenset((*_SAMPLING, *_TOKENS, *_OTHERS))
_SHORT_TEXT = "def add(first, second):\n"
_LOGITS_BYTES = 32  # a token of the vocabulary and row, in sampling


@dataclass
class Generation:
    """Generates with one model. `truncated` counts the prompts that were cut from the left to fit, `shortened` those
    of which the task reads the beginning only.

    `endless`: no token ends a completion, so that each is as long as it may be, as measurements want it.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    max_length: int
    seed: int
    truncated: int = 0
    shortened: int = 0
    endless: bool = False

    @cached_property
    def step(self) -> ModelStep:
        """How the model is run a token at a time."""
        return choose_step(self.model, self._pad, self._short_text(), self._decoder_start)

    def check(self) -> None:
        """Run the model on a short text; raise ModelError, before anything is made, if it cannot complete any."""
        require_runs(self.model, self.step, self._short_text(), self._decoder_start)

    def nonfinite(self, ids: Sequence[int]) -> ModelError:
        """What to raise where a text's logits are not finite."""
        return nonfinite_error(self.model, whole_text(self.model, ids, (), self._decoder_start))

    def _short_text(self) -> list[int]:
        encoder = bool(self.model.config.is_encoder_decoder)
        return encode_text(self.tokenizer, _SHORT_TEXT, encoder=encoder) or [self.first_token()]

    def fit(self, ids: Sequence[int], decoding: Decoding) -> tuple[int, ...]:
        """Cut a causal model's prompt from the left if it leaves no room.

        The prompt comes first: it is cut only where it would leave less than both `max_new_tokens` and half of the
        context for the completion. What the tokenizer begins a text with stays. An empty prompt becomes the token that
        begins a text.
        """
        room = self.max_length
        if not self.model.config.is_encoder_decoder:
            room -= min(decoding.max_new_tokens, self.max_length // 2)
        if len(ids) > room:
            self.truncated += 1
            begin = self._begin if tuple(ids[: len(self._begin)]) == self._begin else ()
            return (*begin, *ids[len(ids) - room + len(begin) :])
        return tuple(ids) or (self.first_token(),)

    def room(self, prompts: Sequence[Prompt], decoding: Decoding) -> int:
        """How many completions fit into memory at a time, by the size of the cache that one token takes."""
        longest = max(len(prompt.ids) for prompt in prompts)
        length = min(longest + decoding.max_new_tokens, self.max_length)
        with torch.inference_mode():
            words = self.step.start([[self.first_token()]], self._decoder_start).logits.shape[-1]
            row = self.step.row_bytes(length) * _COPIES + words * _LOGITS_BYTES
        row *= decoding.num_beams
        device = self.model.device
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
        most = MOST_AT_A_TIME.get(device.type, MOST_AT_A_TIME["cpu"])
        return max(1, min(most // decoding.num_beams, int(free * _MEMORY_SHARE / row)))

    def __call__(
        self, prompts: Sequence[Prompt], decoding: Decoding, places: int, *, halve: bool = True
    ) -> Iterator[tuple[int, Draw, str]]:
        """Yield (number of the prompt, draw, text up to the first stop sequence) of each completion as it ends.

        At most `places` are made at a time; half as many where memory does not suffice, if `halve`. Raises ModelError
        where it does not suffice for one, or may not be halved, and for a token of a prompt that the model lacks.
        """
        self._require_known(prompts)
        complete: Callable[[Sequence[Prompt], int], Iterator[tuple[int, Draw, str]]]
        if decoding.num_beams > 1:
            complete = partial(self._beams, decoding)
        else:
            ends, encodes = self._end_tokens(decoding), bool(self.model.config.is_encoder_decoder)
            settings = Settings(decoding, self.seed, self.max_length, ends, self._pad, self._decoder_start, encodes)
            complete = Engine(self.model, self.step, self.detokenizer, settings).complete
        left = dict(enumerate(prompts))
        while left:
            numbers = list(left)
            try:
                for index, draw, text in complete([left[number] for number in numbers], places):
                    number = numbers[index]
                    yield number, draw, text
                    draws = tuple(each for each in left[number].draws if each != draw)
                    left[number] = replace(left[number], draws=draws)
                return
            except RuntimeError as error:
                if not _out_of_memory(error):
                    raise
                if places == 1 or not halve:
                    raise ModelError(f"memory does not suffice for --batch-size {places}") from None
            left = {number: prompt for number, prompt in left.items() if prompt.draws}
            places //= 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            note(f"out of memory: going on with {places} completions at a time")

    def _require_known(self, prompts: Sequence[Prompt]) -> None:
        absent = next((token for prompt in prompts for token in prompt.ids if token >= self._vocabulary), None)
        if absent is not None:
            raise ModelError(
                f"a prompt holds {self.tokenizer.convert_ids_to_tokens(absent)!r}, token {absent}, and the model knows "
                f"{self._vocabulary} tokens: its tokenizer is another model's, or has tokens that it was not trained on"
            )

    def unused_settings(self) -> list[str]:
        """What the checkpoint's own generation settings ask for and does not happen, as a repetition penalty."""
        given = self.model.generation_config.to_diff_dict() if self.model.generation_config else {}
        return sorted(f"{name}={value}" for name, value in given.items() if value and name not in _DECIDED_ELSEWHERE)

    @cached_property
    def detokenizer(self) -> Detokenizer:
        """Turns what is generated into text."""
        return Detokenizer(self.tokenizer)

    @cached_property
    def _vocabulary(self) -> int:
        return int(self.model.config.get_text_config(decoder=True).vocab_size)

    @cached_property
    def _begin(self) -> tuple[int, ...]:
        """What every prompt begins with."""
        added = AddedTokens.of(self.tokenizer)
        return tuple(begun(list(added.before), marked(self.model.config), self.tokenizer))

    @property
    def _pad(self) -> int:
        """Any token that the model has will do: what it stands at is masked."""
        pad = self.tokenizer.pad_token_id
        return pad if pad is not None and pad < self._vocabulary else 0

    @property
    def _decoder_start(self) -> int:
        return decoder_start(self.model) or 0

    def first_token(self) -> int:
        """The token that a text begins with, any of the model's where the tokenizer has none for it."""
        known = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.tokenizer.pad_token_id)
        return next((int(token) for token in known if token is not None and token < self._vocabulary), 0)

    def _end_tokens(self, decoding: Decoding) -> EndTokens:
        """The tokens that end a completion: end tokens, special tokens, and those that a stop sequence names."""
        if self.endless:
            return EndTokens()
        is_encoder_decoder = self.model.config.is_encoder_decoder
        special = self.detokenizer.special
        return EndTokens.of(special, self._eos_token_ids(), decoding.until, encoder_decoder=is_encoder_decoder)

    def _eos_token_ids(self) -> frozenset[int]:
        """The tokens that end a text: what the checkpoint says, or its tokenizer."""
        if self.endless:
            return frozenset()
        given = self.model.generation_config.eos_token_id if self.model.generation_config else None
        if given is None:
            given = self.tokenizer.eos_token_id
        return frozenset() if given is None else frozenset([given] if isinstance(given, int) else given)

    def _beams(self, decoding: Decoding, prompts: Sequence[Prompt], places: int) -> Iterator[tuple[int, Draw, str]]:
        """Beam search by transformers; all completions of one prompt are the same.

        Prompts searched together have the same limit, so that none's depends on the others.
        """
        causal, ends = not self.model.config.is_encoder_decoder, self._end_tokens(decoding)
        limits = [
            min(decoding.max_new_tokens, self.max_length - (len(prompt.ids) if causal else 1)) for prompt in prompts
        ]
        # Padding would stay in a state that is no key-value cache.
        lengths = [len(prompt.ids) if self.step.equal_lengths else 0 for prompt in prompts]
        ways = list(zip(limits, lengths, strict=True))
        for (limit, _), alike in itertools.groupby(range(len(prompts)), key=ways.__getitem__):
            numbers = list(alike)
            for start in range(0, len(numbers), places):
                chunk = numbers[start : start + places]
                ids, mask = rectangle(
                    [prompts[number].ids for number in chunk], self._pad, self.model.device, left=causal
                )
                made = self._search(ids, mask, self._beam_config(decoding, limit))
                for number, tokens in zip(chunk, made, strict=True):
                    text = CompletionText(self.detokenizer, prompts[number].ids if causal else ()).of(ends.cut(tokens))
                    for draw in prompts[number].draws:
                        yield number, draw, cut_at_stop(text, decoding.until)

    @torch.inference_mode()
    def _search(self, ids: torch.Tensor, mask: torch.Tensor, config: GenerationConfig) -> list[list[int]]:
        """The tokens that transformers finds for ids and mask int64 [rows, length]."""
        # It fills what a configuration leaves open from the model's own, so that one steps aside.
        watch = FiniteScores(self.model, ids, mask, config.num_beams)
        own, self.model.generation_config = self.model.generation_config, GenerationConfig()
        try:
            output = self.model.generate(  # type: ignore[operator]
                input_ids=ids,
                attention_mask=mask,
                generation_config=config,
                logits_processor=LogitsProcessorList([watch]),
            )
        finally:
            self.model.generation_config = own
        start = 1 if self.model.config.is_encoder_decoder else ids.shape[1]
        made: list[list[int]] = output[:, start:].tolist()
        return made

    def _beam_config(self, decoding: Decoding, max_new_tokens: int) -> GenerationConfig:
        """Nothing of the checkpoint's own but the tokens that begin and end a text."""
        return GenerationConfig(
            do_sample=False,
            num_beams=decoding.num_beams,
            early_stopping=decoding.early_stopping,
            max_new_tokens=max_new_tokens,
            eos_token_id=sorted(self._eos_token_ids()) or None,
            pad_token_id=self._pad,
            decoder_start_token_id=self._decoder_start,
            use_cache=self.step.caches,
        )


def _out_of_memory(error: Exception) -> bool:
    """CUDA has an exception of its own for it; the CPU's allocator has a message only."""
    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)
