"""Sampling by counter-based Gumbel noise: the same draw for the same (seed, document, sample, step), in any batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_WORD = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_WIDEST_NOISE = 40.4  # between the least and the greatest value that `gumbel` can give
_FIRST_CANDIDATES = 64


@dataclass(frozen=True)
class SampleKey:
    """A sample of a document, which no two completions share; both numbers count from 0."""

    document: int
    sample: int


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Philox 4x32-10 (Salmon et al. 2011): four random words for each counter of four words.

    All tensors are int64 of one shape and hold 32-bit words; `seed` is the 64-bit key. Unlike a library's stream, it
    gives the word at any counter on any device, so only the tokens that can be drawn need one.
    """
    a, b, c, d = counter
    low, high = seed & _WORD, (seed >> 32) & _WORD
    for _ in range(_ROUNDS):
        first, second = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]  # modulo 2**64: the sign bit is a bit like others
        a, b, c, d = (
            ((second >> 32) & _WORD) ^ b ^ low,
            second & _WORD,
            ((first >> 32) & _WORD) ^ d ^ high,
            first & _WORD,
        )
        low, high = (low + _WEYL[0]) & _WORD, (high + _WEYL[1]) & _WORD
    return a, b, c, d


def gumbel(seed: int, keys: Tensor, tokens: Tensor) -> Tensor:
    """Standard Gumbel noise, float64 [n], for tokens int64 [n] with keys int64 [n, 3]: (document, sample, step)."""
    document, sample, step = (keys & _WORD).unbind(-1)
    first, second, _, _ = philox((tokens, step, sample, document), seed)
    uniform = ((first << 20 | second >> 12).double() + 0.5) / 2**52
    return -torch.log(-torch.log(uniform))


def sample_next_token(logits: Tensor, keys: Tensor, seed: int, temperature: float, top_p: float) -> Tensor:
    """The next token of each row: logits [rows, vocabulary], keys int64 [rows, 3] to token ids int64 [rows].

    The argmax of the warped logits and Gumbel noise is a sample from their softmax (the Gumbel-max trick). Temperature
    0 takes the likeliest token.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    scores = logits.float() / temperature
    tokens, scores = _nucleus(scores, top_p) if top_p < 1 else _reachable(scores)
    rows, places = torch.nonzero(scores.isfinite(), as_tuple=True)
    noisy = scores.double()
    noisy[rows, places] += gumbel(seed, keys[rows], tokens[rows, places])
    return tokens.gather(1, noisy.argmax(dim=-1, keepdim=True)).squeeze(1)


def _nucleus(scores: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """(tokens, scores) of the smallest sets of likeliest tokens whose mass reaches `top_p`, -inf beyond them."""
    probabilities = scores.softmax(dim=-1)
    size = _FIRST_CANDIDATES
    while True:
        size = min(size, scores.shape[-1])
        best, tokens = probabilities.topk(size, dim=-1)
        mass = best.cumsum(dim=-1)
        if size == scores.shape[-1] or bool((mass[:, -1] >= top_p).all()):
            break
        size *= 8
    before = mass - best
    before[:, 0] = 0.0
    return tokens, scores.gather(1, tokens).masked_fill(before >= top_p, -torch.inf)


def _reachable(scores: Tensor) -> tuple[Tensor, Tensor]:
    """(tokens, scores), -inf where no noise could make the token win."""
    best = scores.amax(dim=-1, keepdim=True)
    tokens = torch.arange(scores.shape[-1], device=scores.device).expand_as(scores)
    return tokens, scores.masked_fill(scores < best - _WIDEST_NOISE, -torch.inf)
