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

_SECONDS = 5.0
"""About how long a trial decodes."""
_TOKENS = (4, 96)
"""The fewest and the most tokens of each completion that it makes."""


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


def try_decoding(lm: LoadedLM, requests: Sequence[Instance]) -> DecodingTrial:
    """Decode the first tokens of one batch in the middle of a run's requests, for about five seconds."""
    start = time.monotonic()
    prompts, decoding, size, row_bytes = lm.middle_batch(requests)
    fewest, most = (min(each, decoding.max_new_tokens) for each in _TOKENS)
    _, few = _decode(lm, prompts, decoding, size, fewest)  # the first time takes longer
    _, first = _decode(lm, prompts, decoding, size, 1)
    step = max(few - first, 1e-6) / fewest  # too long, if anything
    tokens = max(fewest, min(most, int(_SECONDS / step)))
    answers, whole = _decode(lm, prompts, decoding, size, tokens)
    lengths = [len(lm.tok_encode(text, add_special_tokens=False)) for _, text in answers]
    steps = max(1, min(tokens, max(lengths)))
    return DecodingTrial(
        size=size,
        prefill_s=first / len(prompts),
        step_s=max(whole - first, 0.0) / max(1, steps - 1),
        tokens=expected_tokens(lengths, tokens, decoding.max_new_tokens),
        most=decoding.max_new_tokens,
        row_bytes=row_bytes,
        seconds=time.monotonic() - start,
        answers=answers,
    )


def _decode(
    lm: LoadedLM, prompts: Sequence[Prompt], decoding: Decoding, size: int, tokens: int
) -> tuple[list[tuple[SampleKey, str]], float]:
    """The texts of a batch, of at most so many tokens, and the seconds that it took."""
    start = time.monotonic()
    made = [(key, text) for _, key, text in lm.generation(prompts, replace(decoding, max_new_tokens=tokens), size)]
    return made, time.monotonic() - start


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
