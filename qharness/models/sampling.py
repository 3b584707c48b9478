"""Sampling by counter-based Gumbel noise: the same draw for the same (seed, document, sample, step), in any batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessor, TemperatureLogitsWarper, TopPLogitsWarper

_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Draw:
    """Which completion a row of the batch is."""

    document: int
    sample: int


def gumbel_noise(seed: int, draw: Draw, step: int, size: int) -> NDArray[np.float64]:
    """Standard Gumbel noise float64 [size], by token id, for one step of one completion.

    Philox (Salmon et al. 2011) is keyed by seed and document; its counter starts at (step, sample), so that streams
    never meet.
    """
    key = np.array([seed & _MASK, draw.document & _MASK], dtype=np.uint64)
    counter = np.array([0, 0, step, draw.sample], dtype=np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
    return generator.gumbel(size=size)


class GumbelMax(LogitsProcessor):
    """Adds noise to the warped logits, so that the argmax is a sample from their softmax (the Gumbel-max trick).

    Called once a step with every row of the batch; `draws[i]` says which completion row i is.
    """

    def __init__(self, seed: int, draws: Sequence[Draw], temperature: float, top_p: float) -> None:
        self._seed = seed
        self._draws = draws
        self._warpers: list[LogitsProcessor] = [TemperatureLogitsWarper(temperature)]
        if top_p < 1.0:
            self._warpers.append(TopPLogitsWarper(top_p))
        self._step = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """scores [batch, vocabulary] to float64 scores whose argmax is the sampled token."""
        scores = scores.float()
        for warper in self._warpers:
            scores = warper(input_ids, scores)
        size = scores.shape[-1]
        noise = np.stack([gumbel_noise(self._seed, draw, self._step, size) for draw in self._draws])
        self._step += 1
        return scores.double() + torch.from_numpy(noise).to(scores.device)
