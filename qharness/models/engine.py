"""Continuous batching: a completion that ends leaves its slot to the next one, while the others go on.

Three prompts A, B, C with two samples each in four slots; `*` is a completion's last token:

    step       1   2      3   4      5   6
    slot 0     A0  A0*    A1  A1     A1  A1
    slot 1     A1  A1     B0  B0     B0  B0*
    slot 2     B0  B0     B1  B1*    C0  C0
    slot 3     B1  B1     C0  C0     C1  C1
    prefill    A, B       C          none: C1 starts from C's state

A slot is a row of the batch. Rows that go on move up and new ones join below them, once a quarter of the slots is idle;
until then, the rows of ended completions stand still. Where the model's state cannot be joined, slots are filled when
all of them are free.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel

from qharness.models.decoding import Decoding, cut_at_stop
from qharness.models.detokenization import CompletionText, Detokenizer
from qharness.models.kv_cache import KeyValueState, KeyValueStep
from qharness.models.model_step import BatchState, ModelStep
from qharness.models.nonfinite import nonfinite_error, rows_not_finite, whole_text
from qharness.models.onednn_linear import onednn_linear
from qharness.models.sampling import SampleKey, sample_next_token
from qharness.models.special_tokens import EndTokens

_STOP_CHECK_STEPS = 4  # tokens of a completion between searches for a stop sequence
_IDLE_SHARE = 4  # slots are refilled when one in so many is idle
_PREFILL_TOKENS = 2048  # of prompts that are read at once, padding included


@dataclass(frozen=True)
class Prompt:
    """A prompt's token ids, short enough for the model, and the samples to make of it."""

    ids: tuple[int, ...]
    samples: tuple[SampleKey, ...]


@dataclass
class _Completion:
    """One completion in flight, of the prompt of that number."""

    prompt: int
    key: SampleKey
    max_new_tokens: int
    tokens: list[int] = field(default_factory=list)
    done: bool = False


@dataclass(frozen=True)
class GenerationSettings:
    """Settings of all completions. `max_length`: tokens of the context, of which an encoder's prompt takes none.

    `decoder_start_token_id`: the token before a completion of an encoder-decoder model.
    """

    decoding: Decoding
    seed: int
    max_length: int
    end_tokens: EndTokens
    encoder_decoder: bool = False
    decoder_start_token_id: int = 0


class Slots:
    """The completions in flight with their batch, and the samples that wait, in the prompts' order."""

    def __init__(self, step: ModelStep, prompts: Sequence[Prompt], size: int, settings: GenerationSettings) -> None:
        self._step, self._prompts, self._size, self._settings = step, prompts, size, settings
        self._shares = _shares(step, prompts)
        self._waiting = deque((number, key) for number, prompt in enumerate(prompts) for key in prompt.samples)
        self._prefilled: tuple[int, BatchState] | None = None  # the last prompt to start: samples of it may wait
        self._batch: BatchState | None = None
        self.flight: list[_Completion] = []

    @property
    def batch(self) -> BatchState:
        """The batch, whose row i belongs to completion i of `flight`."""
        assert self._batch is not None
        return self._batch

    def refill(self) -> bool:
        """Give the slots of ended completions to others if enough are idle; return whether any is in flight."""
        idle = sum(each.done for each in self.flight)
        if idle * _IDLE_SHARE >= len(self.flight):
            self._remove_ended()
            if self._step.joins or not self.flight:
                self._start_waiting()
        return bool(self.flight)

    def advance(self, tokens: torch.Tensor) -> None:
        """Append tokens int64 [rows] to their rows; rows of ended completions stand still."""
        alive = [not each.done for each in self.flight]
        if any(alive):
            with onednn_linear():
                self._batch = self.batch.advance(tokens, torch.tensor(alive, device=tokens.device))

    def _remove_ended(self) -> None:
        rows = [row for row, each in enumerate(self.flight) if not each.done]
        if len(rows) < len(self.flight):
            self._batch = self.batch.take(rows) if rows else None
            self.flight = [self.flight[row] for row in rows]

    def _start_waiting(self) -> None:
        """Put waiting samples into the free slots. New prompts are prefilled together, once for all their samples."""
        starting = [self._waiting.popleft() for _ in range(min(self._size - len(self.flight), len(self._waiting)))]
        if not self._step.joins:
            together = self._startable_together(starting)
            self._waiting.extendleft(reversed(starting[together:]))
            starting = starting[:together]
        counts = Counter(number for number, _ in starting)
        if self._prefilled and (count := counts.pop(self._prefilled[0], 0)):
            self._join([self._copies(self._prefilled[1], [self._prefilled[0]], [count])])
        if counts:
            self._join([self._prefill(numbers, counts) for numbers in self._prefilled_together(list(counts))])
        self.flight += [_Completion(number, key, self._max_new_tokens(number)) for number, key in starting]

    def _prefill(self, numbers: Sequence[int], counts: Mapping[int, int]) -> BatchState:
        """Read these prompts at once; return as many rows of each as it has completions to start."""
        prompts = [self._prompts[number].ids for number in numbers]
        with onednn_linear():
            read = self._step.prefill(prompts, self._settings.decoder_start_token_id)
        self._prefilled = numbers[-1], read.take([len(numbers) - 1])
        return self._copies(read, numbers, [counts[number] for number in numbers])

    def _copies(self, read: BatchState, numbers: Sequence[int], counts: Sequence[int]) -> BatchState:
        """So many rows of each prompt that was read, which share its state where the step can."""
        if self._shares:
            assert isinstance(read, KeyValueState)
            return read.shared(numbers, counts)
        return read.take([row for row, count in enumerate(counts) for _ in range(count)])

    def _prefilled_together(self, numbers: Sequence[int]) -> Iterator[list[int]]:
        """Prompts that are read at once, in order; all of them where rows cannot be joined.

        Many at once would be padded to the longest, and have activations that no processor's cache holds.
        """
        together: list[int] = []
        longest = 0
        for number in numbers:
            longest = max(longest, len(self._prompts[number].ids))
            if self._step.joins and together and longest * (len(together) + 1) > _PREFILL_TOKENS:
                yield together
                together, longest = [], len(self._prompts[number].ids)
            together.append(number)
        yield together

    def _startable_together(self, starting: Sequence[tuple[int, SampleKey]]) -> int:
        """How many of these, from the first, can start at once in a batch that none joins later."""
        if not starting:
            return 0
        first = starting[0][0]
        if self._prefilled and self._prefilled[0] == first:
            return sum(number == first for number, _ in starting)
        if not self._step.equal_lengths:
            return len(starting)
        length = len(self._prompts[first].ids)
        alike = itertools.takewhile(lambda each: len(self._prompts[each[0]].ids) == length, starting)
        return sum(1 for _ in alike)

    def _join(self, rows: Sequence[BatchState]) -> None:
        states = [*([] if self._batch is None else [self._batch]), *rows]
        if len(states) > 1:
            values = [each for each in states if isinstance(each, KeyValueState)]
            assert len(values) == len(states)
            self._batch = values[0].join(values[1:])
        else:
            (self._batch,) = states

    def _max_new_tokens(self, number: int) -> int:
        used = 1 if self._settings.encoder_decoder else len(self._prompts[number].ids)
        return min(self._settings.decoding.max_new_tokens, self._settings.max_length - used)


def _shares(step: ModelStep, prompts: Sequence[Prompt]) -> bool:
    """Whether completions of a prompt share its keys and values: where there are several, and the step can."""
    several = any(len(prompt.samples) > 1 for prompt in prompts)
    return several and isinstance(step, KeyValueStep) and step.shares


class Engine:
    """Completes prompts with one model. Each prompt is prefilled once, whatever the number of its samples.

    A completion does not depend on which others share its batch, up to ties that rounding decides. `count` is told
    how many tokens each has.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        step: ModelStep,
        detokenizer: Detokenizer,
        settings: GenerationSettings,
        count: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._model, self._step, self._detokenizer, self._settings = model, step, detokenizer, settings
        self._count = count
        longest = max((len(stop.encode()) for stop in settings.decoding.until), default=0)
        self._window = longest + 8 + _STOP_CHECK_STEPS

    @torch.inference_mode()
    def complete(self, prompts: Sequence[Prompt], size: int) -> Iterator[tuple[int, SampleKey, str]]:
        """Yield (number of the prompt, sample, text) as completions end, from at most `size` slots.

        Raises ModelError for logits that are not finite.
        """
        slots = Slots(self._step, prompts, size, self._settings)
        causal = not self._settings.encoder_decoder
        texts = [CompletionText(self._detokenizer, prompt.ids if causal else ()) for prompt in prompts]
        while slots.refill():
            self._require_finite(slots, prompts)
            tokens = self._next_tokens(slots)
            for each, token in zip(slots.flight, tokens.tolist(), strict=True):
                if not each.done and self._ends(each, token, texts[each.prompt]):
                    each.done = True
                    self._count(len(each.tokens))
                    text = cut_at_stop(texts[each.prompt].of(each.tokens), self._settings.decoding.until)
                    yield each.prompt, each.key, text
            slots.advance(tokens)

    def _require_finite(self, slots: Slots, prompts: Sequence[Prompt]) -> None:
        """Raise ModelError, naming a layer, if the logits of a completion in flight are no distribution."""
        for row in rows_not_finite(slots.batch.logits):
            each = slots.flight[row]
            if not each.done:
                start = self._settings.decoder_start_token_id
                inputs = whole_text(self._model, prompts[each.prompt].ids, each.tokens, start)
                raise nonfinite_error(self._model, inputs)

    def _next_tokens(self, slots: Slots) -> torch.Tensor:
        """The next token of each row, int64 [rows]."""
        logits, decoding = slots.batch.logits, self._settings.decoding
        keys = torch.tensor(
            [(each.key.document, each.key.sample, len(each.tokens)) for each in slots.flight], device=logits.device
        )
        return sample_next_token(logits, keys, self._settings.seed, decoding.temperature, decoding.top_p)

    def _ends(self, each: _Completion, token: int, text: CompletionText) -> bool:
        """Append a token to a completion, unless it is an end token; return whether the completion ends."""
        if self._settings.end_tokens.ends(each.tokens, token):
            return True
        each.tokens.append(token)
        if len(each.tokens) >= each.max_new_tokens:
            return True
        if not self._settings.decoding.until or len(each.tokens) % _STOP_CHECK_STEPS:
            return False
        # A token that adds to the text adds at least one byte. So a stop sequence that was completed since the last
        # search lies within as many tokens as it has bytes, and those since then.
        return self._stops(text.around(each.tokens, self._window)) and self._stops(text.of(each.tokens))

    def _stops(self, text: str) -> bool:
        return any(stop in text for stop in self._settings.decoding.until)
