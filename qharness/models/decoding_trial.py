"""A short real measurement of how fast a loaded model completes prompts, from which a whole run's time is estimated."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lm_eval.api.instance import Instance

from qharness.models.decoding import Decoding
from qharness.models.engine import Prompt
from qharness.models.lm import LoadedLM
from qharness.models.sampling import SampleKey

_STEP_S = 3.0
"""About how long steps of a whole batch are measured."""
_LENGTHS_S = 8.0
"""About how long a few completions are made, to see how many tokens they have."""
_PREFILL_S = 4.0
"""About how long their prompts may be read."""
_ROWS = 16
"""The most completions of which the tokens are counted, each of another prompt."""
_TOKENS = (4, 96)
"""The fewest and the most tokens of each completion of a whole batch."""


@dataclass(frozen=True)
class DecodingTrial:
    """How fast one batch was decoded. `size`: completions at a time; `prefill_s`: seconds for a prompt.

    `step_s`: seconds in which each completion gets a token; `tokens`: how many a completion is expected to have, of
    `most` that it may have; `row_bytes`: memory of each; `answers`: what was made, cut off after a few tokens.
    """

    size: int
    prefill_s: float
    step_s: float
    tokens: float
    most: int
    row_bytes: int
    seconds: float
    answers: Sequence[tuple[SampleKey, str]]

    def estimate(self, prompts: int, completions: int, tokens: float) -> float:
        """Seconds for that many completions of so many tokens each."""
        return self.prefill_s * prompts + self.step_s * tokens * max(1.0, completions / self.size)


@dataclass(frozen=True)
class _Trial:
    """Decodes with a model as a run would, fewer tokens."""

    lm: LoadedLM
    decoding: Decoding

    def decode(self, prompts: Sequence[Prompt], size: int, tokens: int) -> tuple[list[tuple[SampleKey, str]], float]:
        """The texts of a batch, of at most so many tokens, and the seconds that it took."""
        start = time.monotonic()
        decoding = replace(self.decoding, max_new_tokens=tokens)
        made = [(key, text) for _, key, text in self.lm.generation(prompts, decoding, size)]
        return made, time.monotonic() - start

    def step(self, prompt: Prompt, size: int) -> tuple[float, float]:
        """(Seconds of reading a prompt, seconds of a step) with so many completions of it."""
        draws = tuple(SampleKey(prompt.samples[0].document, sample) for sample in range(size))
        repeated = [replace(prompt, samples=draws)]
        if self.decoding.num_beams > 1:  # a search's completions are all the same, so one is made of each prompt
            repeated = [replace(prompt, samples=(draw,)) for draw in draws]
        fewest, most = (min(each, self.decoding.max_new_tokens) for each in _TOKENS)
        _, first = self.decode(repeated, size, 1)
        _, few = self.decode(repeated, size, fewest)
        step = max(few - first, 1e-6) / max(1, fewest - 1)
        tokens = min(most, int(_STEP_S / step))
        if tokens > fewest:
            answers, whole = self.decode(repeated, size, tokens)
            step = max(whole - first, 0.0) / max(1, max(self.lengths(answers, tokens)) - 1)
        return first, step

    def lengths(self, answers: Sequence[tuple[SampleKey, str]], tokens: int) -> list[int]:
        """How many tokens each text has, of at most so many."""
        return [min(tokens, len(self.lm.tok_encode(text, add_special_tokens=False))) for _, text in answers]


def try_decoding(lm: LoadedLM, requests: Sequence[Instance]) -> DecodingTrial:
    """Decode the first tokens of a few of a run's completions, for about twenty seconds.

    How long a step takes is measured on a batch as large as the run's, of one prompt of median length; how long a
    completion is, on a smaller one, whose prompts are spread over the run's.
    """
    start = time.monotonic()
    prompts, decoding, size, row_bytes = lm.prompts_to_try(requests)
    trial = _Trial(lm, decoding)
    middle = prompts[len(prompts) // 2]
    trial.step(middle, 1)  # the first time takes longer
    prefill, single = trial.step(middle, 1)
    step = trial.step(middle, size)[1] if size > 1 else single
    chosen = _spread(prompts, max(1, min(_ROWS, len(prompts), int(_PREFILL_S / prefill))))
    rows = min(size, 1 if lm.generation.step.equal_lengths else len(chosen))
    each_token = (single + max(step - single, 0.0) * (rows - 1) / max(1, size - 1)) * len(chosen) / rows
    tokens = min(decoding.max_new_tokens, max(_TOKENS[0], int(_LENGTHS_S / each_token)))
    answers, _ = trial.decode(chosen, rows, tokens)
    return DecodingTrial(
        size=size,
        prefill_s=prefill,
        step_s=step,
        tokens=expected_tokens(trial.lengths(answers, tokens), tokens, decoding.max_new_tokens),
        most=decoding.max_new_tokens,
        row_bytes=row_bytes,
        seconds=time.monotonic() - start,
        answers=answers,
    )


def _spread(prompts: Sequence[Prompt], count: int) -> list[Prompt]:
    """So many of the prompts, at equal distances, with one completion of each."""
    chosen = [prompts[(2 * n + 1) * len(prompts) // (2 * count)] for n in range(count)]
    return [replace(each, samples=each.samples[:1]) for each in chosen]


def expected_tokens(lengths: Sequence[int], seen: int, most: int) -> float:
    """How many tokens a completion has on average, of `most`, where only its first `seen` tokens were made.

    Completions are taken to end at a constant rate: the number that ended by the number of tokens, which is the
    maximum-likelihood estimate for lengths that are censored. `most` where none ended.
    """
    ended = sum(length < seen for length in lengths)
    if not ended:
        return float(most)
    rate = ended / max(1, sum(min(length, seen) for length in lengths))
    return min(float(most), max(1.0, -math.expm1(-rate * most) / rate))
