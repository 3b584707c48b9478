from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from qharness.models.sampling import gumbel, philox, sample_next_token


def keys(document: int, sample: int, step: int, n: int) -> torch.Tensor:
    return torch.tensor([[document, sample, step]]).expand(n, 3)


def warped(logits: torch.Tensor, temperature: float, top_p: float) -> np.ndarray:
    """What is to be drawn from: the softmax, less what lies beyond the smallest set whose mass reaches top_p."""
    p = torch.softmax(logits.double() / temperature, dim=0).numpy()
    order = np.argsort(-p)
    kept = order[: int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1]
    expected = np.zeros_like(p)
    expected[kept] = p[kept] / p[kept].sum()
    return expected


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers(counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]) -> None:
    """The answers that Random123, the authors' own implementation, is tested with (kat_vectors, philox4x32-10)."""
    a, b, c, d = (torch.tensor([word]) for word in counter)
    assert tuple(int(word) for word in philox((a, b, c, d), key[0] | key[1] << 32)) == words


@pytest.mark.parametrize(
    ("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (0.2, 1.0), (1.0, 0.8), (0.7, 0.9), (0.4, 0.95)]
)
@pytest.mark.parametrize("vocabulary", [6, 80])
def test_distribution_is_the_warped_softmax(temperature: float, top_p: float, vocabulary: int) -> None:
    logits = torch.linspace(2.0, -2.0, vocabulary)[
        torch.randperm(vocabulary, generator=torch.Generator().manual_seed(0))
    ]
    rows = 10_000
    drawn = sample_next_token(
        logits.expand(rows, -1),
        torch.stack([torch.arange(rows), *torch.zeros(2, rows).long()], 1),
        7,
        temperature,
        top_p,
    )
    counts = np.bincount(drawn.numpy(), minlength=vocabulary)
    expected = warped(logits, temperature, top_p)
    assert counts[expected == 0].sum() == 0
    kept = expected > 0
    assert stats.chisquare(counts[kept], expected[kept] * rows).pvalue > 1e-3


def test_samples_and_steps_of_one_document_are_independent_draws() -> None:
    logits = torch.tensor([1.0, 0.0, -1.0])
    for column in (1, 2):
        key = torch.zeros(9000, 3, dtype=torch.int64)
        key[:, column] = torch.arange(9000)
        counts = np.bincount(sample_next_token(logits.expand(9000, -1), key, 0, 1.0, 1.0).numpy(), minlength=3)
        assert stats.chisquare(counts, torch.softmax(logits.double(), 0).numpy() * 9000).pvalue > 1e-3


def test_a_row_is_drawn_the_same_in_any_batch() -> None:
    logits = torch.randn(40, 500, generator=torch.Generator().manual_seed(1)) * 3
    key = torch.arange(120).reshape(40, 3)
    for top_p in (0.9, 1.0):
        together = sample_next_token(logits, key, 5, 0.7, top_p)
        assert torch.equal(
            together,
            torch.cat([sample_next_token(logits[i : i + 1], key[i : i + 1], 5, 0.7, top_p) for i in range(40)]),
        )


def test_temperature_zero_takes_the_likeliest() -> None:
    assert sample_next_token(
        torch.tensor([[0.0, 2.0, 1.0]]), torch.zeros(1, 3, dtype=torch.int64), 0, 0.0, 0.5
    ).tolist() == [1]


def test_noise_is_a_function_of_its_key() -> None:
    tokens = torch.arange(50)
    one = gumbel(3, keys(5, 2, 11, 50), tokens)
    assert torch.equal(one, gumbel(3, keys(5, 2, 11, 50), tokens))
    for seed, *key in [(4, 5, 2, 11), (3, 6, 2, 11), (3, 5, 3, 11), (3, 5, 2, 12), (3 + (1 << 32), 5, 2, 11)]:
        assert not torch.isclose(one, gumbel(seed, keys(*key, 50), tokens)).any()


def test_noise_is_gumbel_and_finite() -> None:
    noise = torch.cat([gumbel(0, keys(0, 0, step, 500), torch.arange(500)) for step in range(20)]).numpy()
    assert stats.kstest(noise, "gumbel_r").pvalue > 1e-3
    widest = -np.log(-np.log((np.array([0, 2**52 - 1], dtype=np.float64) + 0.5) / 2**52))
    assert np.isfinite(widest).all() and np.ptp(widest) < 40.4
