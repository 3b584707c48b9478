from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from qharness.models.sampling import Draw, GumbelMax, gumbel_noise


def draw(logits: torch.Tensor, temperature: float, top_p: float, n: int) -> np.ndarray:
    draws = [Draw(document, 0) for document in range(n)]
    scores = GumbelMax(7, draws, temperature, top_p)(torch.zeros(n, 1, dtype=torch.long), logits.expand(n, -1))
    return np.bincount(scores.argmax(dim=1).numpy(), minlength=len(logits))


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.8), (0.7, 0.9)])
def test_distribution_is_the_warped_softmax(temperature: float, top_p: float) -> None:
    logits = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -2.0])
    p = torch.softmax(logits.double() / temperature, dim=0).numpy()
    order = np.argsort(-p)
    keep = order[: int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1]  # the smallest set whose mass reaches top_p
    expected = np.zeros_like(p)
    expected[keep] = p[keep] / p[keep].sum()
    counts = draw(logits, temperature, top_p, 20_000)
    assert counts[expected == 0].sum() == 0
    kept = expected > 0
    assert stats.chisquare(counts[kept], expected[kept] * counts.sum()).pvalue > 1e-3


def test_noise_is_a_function_of_its_key() -> None:
    one = gumbel_noise(3, Draw(5, 2), 11, 50)
    assert np.array_equal(one, gumbel_noise(3, Draw(5, 2), 11, 50))
    for seed, document, sample, step in [(4, 5, 2, 11), (3, 6, 2, 11), (3, 5, 3, 11), (3, 5, 2, 12)]:
        assert not np.isclose(one, gumbel_noise(seed, Draw(document, sample), step, 50)).any()


def test_noise_is_gumbel() -> None:
    noise = np.concatenate([gumbel_noise(0, Draw(0, 0), step, 500) for step in range(20)])
    assert stats.kstest(noise, "gumbel_r").pvalue > 1e-3
