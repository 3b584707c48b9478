"""Rounds weights to a symmetric grid of integers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from qharness.plugins.int8.ranges import Loss, choose_fractions, levels_of

_BINS, _MATRIX_BINS = 512, 1 << 14  # of a row's histogram, and of a whole matrix's
_PIECE = 1 << 20  # weights that are in float32 a second time while a matrix is quantized


@dataclass(frozen=True)
class WeightGrid:
    """How weights are rounded to integers: with one scale a row or one for the matrix, and a range chosen by `loss`."""

    per_column: bool
    bits: int = 8
    loss: Loss = "max"
    percentile: float = 99.99

    def quantize(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Round weight [out, in] of any float dtype to q int8 [out, in] with q * scale ~ weight.

        scale float32 [out] (per column, as the paper calls an output's weights) or [1]; 4 bits take int8's room too.
        A row of zeros has scale 1. With loss mse, no row's (no matrix's) squared error exceeds that without clipping.
        """
        ranges = self._ranges(weight)
        scale = ranges / levels_of(self.bits)
        scale = torch.where(scale == 0, torch.ones_like(scale), scale)
        q = torch.empty_like(weight, dtype=torch.int8)
        for rows in _pieces(weight):
            q[rows] = self._round(weight[rows].float(), self._of(scale, rows)).to(torch.int8)
        return q, scale

    def _round(self, weight: Tensor, scale: Tensor) -> Tensor:
        levels = levels_of(self.bits)
        return (weight / scale[:, None]).round_().clamp_(-levels, levels)

    def _of(self, each: Tensor, rows: slice) -> Tensor:
        return each[rows] if self.per_column else each

    def _ranges(self, weight: Tensor) -> Tensor:
        """Choose clipping ranges, float32 [out] or [1]."""
        most = torch.cat([weight[rows].float().abs().amax(dim=1) for rows in _pieces(weight)])
        if not self.per_column:
            most = most.max()[None]
        if self.loss == "max" or not most.isfinite().all():  # the caller finds it in the scales
            return most
        if self.per_column:
            parts = [self._fractions(self._counts(weight[rows], most[rows])) for rows in _pieces(weight)]
            clipped = most * torch.cat(parts).to(most.device)
        else:
            counts = sum(self._counts(weight[rows], most) for rows in _pieces(weight))
            assert isinstance(counts, Tensor)
            clipped = most * self._fractions(counts).to(most.device)
        if self.loss == "mse":  # the histogram's error is an estimate: keep what really is the better
            better = self._errors(weight, clipped) < self._errors(weight, most)
            clipped = torch.where(better, clipped, most)
        return clipped

    def _fractions(self, counts: Tensor) -> Tensor:
        return choose_fractions(counts, self.loss, levels_of(self.bits), self.percentile)

    def _counts(self, weight: Tensor, most: Tensor) -> Tensor:
        """Count the magnitudes of each row of weight [rows, in], or of all rows, by bin: float32 [rows, bins]."""
        magnitudes = weight.float().abs()
        if not self.per_column:
            return torch.histc(magnitudes, _MATRIX_BINS, 0.0, most.item())[None].cpu()
        inverse = _BINS / torch.where(most == 0, torch.ones_like(most), most)
        places = magnitudes.mul_(inverse[:, None]).long().clamp_(max=_BINS - 1)
        places += torch.arange(len(weight), device=weight.device)[:, None] * _BINS
        return torch.bincount(places.flatten(), minlength=len(weight) * _BINS).view(-1, _BINS).float().cpu()

    def _errors(self, weight: Tensor, ranges: Tensor) -> Tensor:
        """Return the sum of squared errors for these ranges, float64 [out] or [1]."""
        scale = ranges / levels_of(self.bits)
        scale = torch.where(scale == 0, torch.ones_like(scale), scale)
        parts = []
        for rows in _pieces(weight):
            piece, step = weight[rows].float(), self._of(scale, rows)
            error = (self._round(piece, step) * step[:, None] - piece).square_().sum(dim=1, dtype=torch.float64)
            parts.append(error)
        errors = torch.cat(parts)
        return errors if self.per_column else errors.sum()[None]


def _pieces(weight: Tensor) -> list[slice]:
    """Split the rows into slices of about a million weights."""
    step = max(_PIECE // weight.shape[1], 1)
    return [slice(start, start + step) for start in range(0, len(weight), step)]
