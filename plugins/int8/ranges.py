"""Chooses clipping ranges: the alpha that is mapped to the greatest integer, from a histogram of magnitudes, by a loss.

A grid is symmetric (Wei et al. 2023, II.C): values are clipped to -alpha .. alpha and rounded to whole multiples of
alpha / levels, with levels = 2^(bits - 1) - 1. A range is a fraction of the greatest magnitude; 1 clips nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal

import torch
from torch import Tensor

Loss = Literal["mse", "entropy", "max", "percentile"]

_OCTAVE = 16  # candidates from a fraction to its half
_BINS_A_LEVEL = 4  # a candidate with fewer is no better known than its neighbours
_AT_A_TIME = 1 << 20  # values that are counted at a time
_PARTS = 4  # places within a bin at which the error of rounding is looked at
_SAME = 1 - 1e-6  # fractions are float32
_GAIN = 0.99  # to be clipped, an error must be estimated to fall at least so far: estimates are not that wrong


def levels_of(bits: int) -> int:
    """Return the greatest integer of a symmetric grid: 127 for 8 bits, 7 for 4."""
    return int(2 ** (bits - 1)) - 1


class Histogram:
    """Counts magnitudes in a fixed number of equal bins from 0, whose range grows as values come.

    A magnitude beyond the range doubles the range until it fits, and bins are joined in pairs: counts stay exact, and
    memory does not grow with the number of values. `most`: the greatest magnitude.
    """

    def __init__(self, bins: int = 1 << 14) -> None:
        self.counts = torch.zeros(bins, dtype=torch.float64)
        self.range = self.most = 0.0

    def add(self, values: Tensor) -> None:
        """Count the magnitudes of values of any shape and float dtype; leave out those that are not finite."""
        for part in values.detach().flatten().split(_AT_A_TIME):
            self._add(part.float().abs())

    def _add(self, magnitudes: Tensor) -> None:
        """Count magnitudes float32 [n]; first widen the range until the greatest finite one fits."""
        most = magnitudes.max().item() if magnitudes.numel() else 0.0
        if not most < float("inf"):
            magnitudes = magnitudes[magnitudes.isfinite()]
            most = magnitudes.max().item() if magnitudes.numel() else 0.0
        self.most = max(self.most, most)
        if self.most == 0.0:
            return  # zeros are rounded to zero in any range, and need no count
        self.range = self.range or self.most
        while self.range < self.most:
            joined = self.counts.view(-1, 2).sum(dim=1)
            self.counts = torch.cat([joined, torch.zeros_like(joined)])
            self.range *= 2
        # Those of the first bin are counted apart from the zeros, which are many and which no range does wrong.
        found = torch.histc(magnitudes, len(self.counts), 0.0, self.range)
        found[0] -= (magnitudes == 0).sum()
        self.counts += found.cpu()

    def choose(self, loss: Loss, levels: int, percentile: float) -> float:
        """Return the range alpha for a grid of so many levels; 0 if all values were zeros."""
        if self.most == 0.0 or loss == "max":
            return self.most
        whole = self.most / self.range
        fraction = choose_fractions(self.counts[None].float(), loss, levels, percentile, whole).item()
        return self.most if fraction >= whole * _SAME else fraction * self.range


def choose_fractions(counts: Tensor, loss: Loss, levels: int, percentile: float, whole: float = 1.0) -> Tensor:
    """Return the best clipping range of each row of counts [rows, bins], a fraction of the bins' range: float32 [rows].

    `whole`: the fraction of the greatest magnitude, at which nothing is clipped.
    """
    return _LOSSES[loss](counts, levels, percentile, whole)


def _by_error(counts: Tensor, levels: int, _: float, whole: float) -> Tensor:
    """Minimise the sum of squared errors: counts times a table [bins, candidates], for values spread evenly in a bin.

    Nothing is clipped unless the gain exceeds the estimate's own error.
    """
    bins = counts.shape[1]
    fractions = _candidates(bins, levels)
    errors = counts @ _table(bins, levels)  # [rows, candidates]
    errors[:, fractions >= whole] = torch.inf
    unclipped = counts @ _errors(bins, levels, whole)
    least, best = errors.min(dim=1)
    return torch.where(least < _GAIN * unclipped, fractions[best], whole)


@cache
def _table(bins: int, levels: int) -> Tensor:
    """Return the errors of each candidate, float32 [bins, candidates]."""
    return torch.stack([_errors(bins, levels, each) for each in _candidates(bins, levels).tolist()], dim=1)


def _errors(bins: int, levels: int, fraction: float) -> Tensor:
    """Return the mean squared error of each bin's values, clipped to `fraction`: float32 [bins]; the bins end at 1."""
    places = (torch.arange(bins * _PARTS) + 0.5) / (bins * _PARTS)
    step = fraction / levels
    rounded = (places / step).round_().clamp_(max=levels).mul_(step)
    return rounded.sub_(places).square_().view(bins, _PARTS).mean(dim=1)


def _by_entropy(counts: Tensor, levels: int, _: float, whole: float) -> Tensor:
    """Minimise the Kullback-Leibler divergence of clipped values from their rounded ones.

    Migacz (2017, "8-bit inference with TensorRT"), on a histogram of magnitudes: clipped values are added to the last
    bin within the range; each level's mass is spread evenly over those of its bins that are not empty.
    """
    bins = counts.shape[1]
    fractions = _candidates(bins, levels)
    worst = torch.full((len(counts), len(fractions)), torch.inf, dtype=torch.float64)
    for number, fraction in enumerate(fractions.tolist()):
        within = max(round(fraction * bins), 1)
        inside = counts[:, :within].double()
        level = (torch.arange(within) * levels // within)[None].expand_as(inside)
        held = torch.zeros(len(counts), levels, dtype=torch.float64)
        filled = (inside > 0).double()
        mass = held.scatter_add(1, level, inside)
        spread = filled * (mass / held.scatter_add(1, level, filled).clamp_min(1)).gather(1, level)
        clipped = inside.clone()
        clipped[:, -1] += counts[:, within:].sum(dim=1)
        worst[:, number] = _divergence(clipped, spread)
    return fractions[worst.argmin(dim=1)].clamp_max(whole)


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """Return KL(p || q) of rows, each as a distribution; q has at least 1e-12 in each bin."""
    total_p, total_q = (each.sum(dim=1, keepdim=True).clamp_min(1e-30) for each in (p, q))
    p, q = p / total_p, (q / total_q).clamp_min(1e-12)
    divergence: Tensor = torch.special.xlogy(p, p / q).sum(dim=1)
    return divergence


def _by_percentile(counts: Tensor, _: int, percentile: float, whole: float) -> Tensor:
    """Return the end of the first bin up to which `percentile` percent of the values lie."""
    shares = counts.double().cumsum(dim=1)
    enough = shares >= shares[:, -1:] * (percentile / 100)
    return ((enough.double().argmax(dim=1) + 1).float() / counts.shape[1]).clamp_max(whole)


def _by_greatest(counts: Tensor, _levels: int, _percentile: float, whole: float) -> Tensor:
    return torch.full((len(counts),), whole)


_LOSSES: dict[Loss, Callable[[Tensor, int, float, float], Tensor]] = {
    "mse": _by_error,
    "entropy": _by_entropy,
    "max": _by_greatest,
    "percentile": _by_percentile,
}


def _candidates(bins: int, levels: int) -> Tensor:
    """Return fractions from 1 down, in equal ratios: float32 [candidates]."""
    least = min(_BINS_A_LEVEL * levels / bins, 1.0)
    count = int(_OCTAVE * -torch.tensor(least).log2().item()) + 1
    return 2.0 ** (-torch.arange(count) / _OCTAVE)
