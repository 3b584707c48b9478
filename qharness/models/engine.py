"""Continuous batching: as many completions at a time as there are places; finished ones leave and others take over."""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel

from qharness.models.decoding import Decoding, cut_at_stop
from qharness.models.detokenization import CompletionText, Detokenizer
from qharness.models.kv_cache import Rows
from qharness.models.model_step import BatchState, ModelStep
from qharness.models.nonfinite import nonfinite_error, rows_not_finite, whole_text
from qharness.models.sampling import Draw, choose
from qharness.models.special_tokens import EndTokens

_STOPS_EVERY = 4  # tokens of a row between looks for a stop sequence
_IDLE_SHARE = 4  # places change hands when one in so many is idle


@dataclass(frozen=True)
class Prompt:
    """Token ids, fitted to the model, and the completions to make of them."""

    ids: tuple[int, ...]
    draws: tuple[Draw, ...]


@dataclass
class _Completion:
    """One completion in flight."""

    prompt: int
    draw: Draw
    limit: int
    tokens: list[int] = field(default_factory=list)
    done: bool = False


@dataclass(frozen=True)
class Settings:
    """What all completions share. `ends`: tokens that end one; `first`: what a decoder after an encoder begins with.

    `encodes`: an encoder reads the prompt, which takes no room in the decoder's context.
    """

    decoding: Decoding
    seed: int
    max_length: int
    ends: EndTokens
    pad: int
    first: int = 0
    encodes: bool = False


class Batch:
    """The completions in flight and their rows, and those that wait, in the prompts' order."""

    def __init__(self, stepper: ModelStep, prompts: Sequence[Prompt], places: int, settings: Settings) -> None:
        self._stepper, self._prompts, self._places, self._settings = stepper, prompts, places, settings
        self._waiting = deque((number, draw) for number, prompt in enumerate(prompts) for draw in prompt.draws)
        self._held: tuple[int, BatchState] | None = None  # a prompt some of whose completions still wait
        self._rows: BatchState | None = None
        self.flight: list[_Completion] = []

    @property
    def rows(self) -> BatchState:
        """The rows of the completions in flight."""
        assert self._rows is not None
        return self._rows

    def refresh(self) -> bool:
        """Let others have the places of the finished once enough are; whether anything is in flight."""
        idle = sum(each.done for each in self.flight)
        if idle * _IDLE_SHARE >= len(self.flight):
            self._thin()
            if self._stepper.joins or not self.flight:
                self._fill()
        return bool(self.flight)

    def advance(self, tokens: torch.Tensor) -> None:
        """Feed each row its token int64 [rows]; rows of finished completions stand still."""
        alive = [not each.done for each in self.flight]
        if any(alive):
            self._rows = self._stepper.step(self.rows, tokens, torch.tensor(alive, device=tokens.device))

    def _thin(self) -> None:
        kept = [place for place, each in enumerate(self.flight) if not each.done]
        if len(kept) < len(self.flight):
            self._rows = self.rows.take(kept) if kept else None
            self.flight = [self.flight[place] for place in kept]

    def _fill(self) -> None:
        taken = [self._waiting.popleft() for _ in range(min(self._places - len(self.flight), len(self._waiting)))]
        if not self._stepper.joins:
            together = self._together(taken)
            self._waiting.extendleft(reversed(taken[together:]))  # these cannot join those before them
            taken = taken[:together]
        counts = Counter(number for number, _ in taken)
        if self._held and (old := counts.pop(self._held[0], 0)):
            self._add(self._held[1].take([0] * old))
        if counts:
            started = self._stepper.start([self._prompts[number].ids for number in counts], self._settings.first)
            self._add(started.take([place for place, count in enumerate(counts.values()) for _ in range(count)]))
            self._held = next(reversed(counts)), started.take([len(counts) - 1])
        self.flight += [_Completion(number, draw, self._limit(self._prompts[number])) for number, draw in taken]

    def _together(self, taken: Sequence[tuple[int, Draw]]) -> int:
        """How many of these, from the first, may begin together where none joins later."""
        if not taken:
            return 0
        first = taken[0][0]
        if self._held and self._held[0] == first:
            return sum(number == first for number, _ in taken)
        if not self._stepper.equal_lengths:
            return len(taken)
        length = len(self._prompts[first].ids)
        alike = itertools.takewhile(lambda each: len(self._prompts[each[0]].ids) == length, taken)
        return sum(1 for _ in alike)

    def _add(self, rows: BatchState) -> None:
        if self._rows is None:
            self._rows = rows
        else:
            assert isinstance(self._rows, Rows)
            assert isinstance(rows, Rows)
            self._rows = self._rows.join(rows)

    def _limit(self, prompt: Prompt) -> int:
        room = self._settings.max_length - (1 if self._settings.encodes else len(prompt.ids))
        return min(self._settings.decoding.max_new_tokens, room)


class Engine:
    """Completes prompts with one model. Each prompt is prefilled once, whatever the number of its completions.

    A completion does not depend on which others share its batch, up to ties that rounding decides.
    """

    def __init__(self, model: PreTrainedModel, step: ModelStep, detokenizer: Detokenizer, settings: Settings) -> None:
        self._model = model
        self._detokenizer = detokenizer
        self._causal = not model.config.is_encoder_decoder
        self._settings = settings
        self._stepper = step
        self._window = max((len(stop.encode()) for stop in settings.decoding.until), default=0) + 8 + _STOPS_EVERY

    @torch.inference_mode()
    def complete(self, prompts: Sequence[Prompt], places: int) -> Iterator[tuple[int, Draw, str]]:
        """Yield (number of the prompt, draw, text) as completions end, at most `places` in flight."""
        batch = Batch(self._stepper, prompts, places, self._settings)
        texts = [CompletionText(self._detokenizer, prompt.ids if self._causal else ()) for prompt in prompts]
        while batch.refresh():
            self._require_finite(batch, prompts)
            tokens = self._chosen(batch)
            for each, token in zip(batch.flight, tokens.tolist(), strict=True):
                if not each.done and self._ends(each, token, texts[each.prompt]):
                    each.done = True
                    yield each.prompt, each.draw, self._text(each, texts[each.prompt])
            batch.advance(tokens)

    def _require_finite(self, batch: Batch, prompts: Sequence[Prompt]) -> None:
        """Raise ModelError, naming a layer, if the logits of a completion in flight are no distribution."""
        for row in rows_not_finite(batch.rows.logits):
            each = batch.flight[row]
            if not each.done:
                inputs = whole_text(self._model, prompts[each.prompt].ids, each.tokens, self._settings.first)
                raise nonfinite_error(self._model, inputs)

    def _chosen(self, batch: Batch) -> torch.Tensor:
        logits, decoding = batch.rows.logits, self._settings.decoding
        keys = [(each.draw.document, each.draw.sample, len(each.tokens)) for each in batch.flight]
        return choose(
            logits, torch.tensor(keys, device=logits.device), self._settings.seed, decoding.temperature, decoding.top_p
        )

    def _ends(self, each: _Completion, token: int, text: CompletionText) -> bool:
        """Add a token to a completion; whether that ends it."""
        if self._settings.ends.ends(each.tokens, token):
            return True
        each.tokens.append(token)
        if len(each.tokens) >= each.limit:
            return True
        if not self._settings.decoding.until or len(each.tokens) % _STOPS_EVERY:
            return False
        # A token that adds to the text adds at least one of its bytes, so a stop sequence that has come whole since
        # the last look lies within as many tokens as it has bytes, and those since then.
        tail = text.last(each.tokens, self._window)
        return self._stops(tail) and self._stops(text.of(each.tokens))  # a window may cut a character

    def _stops(self, text: str) -> bool:
        return any(stop in text for stop in self._settings.decoding.until)

    def _text(self, each: _Completion, text: CompletionText) -> str:
        return cut_at_stop(text.of(each.tokens), self._settings.decoding.until)
