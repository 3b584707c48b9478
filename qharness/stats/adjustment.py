"""p-values of several comparisons: Benjamini-Hochberg within families, and the marks of significance."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

_MARKS = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "●"))


class ComparedBy(StrEnum):
    """The model that a quantized model is compared with."""

    PRECISION = "precision"  # the same model in full precision
    CALIBRATION = "calibration"  # the same quantizer, calibrated on something else
    FINETUNE = "finetune"  # the same quantizer without fine-tuning


_SHARED: dict[ComparedBy, tuple[str, ...] | None] = {
    ComparedBy.PRECISION: ("model", "language"),
    ComparedBy.CALIBRATION: ("model", "language", "quant"),
    ComparedBy.FINETUNE: None,
}


@dataclass(frozen=True)
class Compared:
    """One comparison: its kind, the model, the language of the programs and the quantizer's spec."""

    kind: ComparedBy
    model: str
    language: str
    quant: str

    @property
    def family(self) -> tuple[str, ...] | None:
        """The key that comparisons share which are adjusted together; None for one that is not adjusted.

        As the scripts of Giagnorio et al. 2025 do it: by model and language against full precision (RQ1, RQ3); by
        model, language and quantizer between calibration sets (RQ2); not at all for fine-tuning.
        """
        shared = _SHARED[self.kind]
        return None if shared is None else (str(self.kind), *(str(getattr(self, name)) for name in shared))


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Benjamini and Hochberg 1995), in the order given.

    The i-th smallest of m becomes the least of p_j m / j over j >= i. NaN stays NaN and does not count in m.
    """
    adjusted = np.array(p_values, dtype=np.float64)
    defined = ~np.isnan(adjusted)
    order = np.argsort(adjusted[defined])[::-1]  # the largest first
    ranks = np.arange(len(order), 0, -1)
    adjusted[np.flatnonzero(defined)[order]] = np.minimum.accumulate(adjusted[defined][order] * len(order) / ranks)
    return [float(p) for p in adjusted]


def adjust(items: Sequence[tuple[Hashable | None, float]]) -> list[float]:
    """Adjust (family, p-value) pairs within each family; returns p-values in the order given.

    A p-value of family None stays as it is. Pass the comparisons of one table, which are read together.
    """
    places: dict[Hashable, list[int]] = {}
    for place, (family, _) in enumerate(items):
        if family is not None:
            places.setdefault(family, []).append(place)
    adjusted = [p for _, p in items]
    for members in places.values():
        for place, p in zip(members, benjamini_hochberg([items[n][1] for n in members]), strict=True):
            adjusted[place] = p
    return adjusted


def symbol(p: float) -> str:
    """The mark of a p-value in the tables of Giagnorio et al. 2025 (their table 3); "n/a" where it is undefined."""
    if math.isnan(p):
        return "n/a"
    return next((mark for below, mark in _MARKS if p < below), "")


def holm_levels(p_values: Sequence[float], level: float) -> list[float]:
    """The level of each p-value, such that Holm (1979) rejects just those that are at most theirs, in the order given.

    The j-th smallest of m has level / (m - j + 1), but none a larger one than the first that is above its own.
    """
    levels = [level] * len(p_values)
    stopped: float | None = None
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda n: p_values[n])):
        own = level / (len(p_values) - rank)
        if stopped is None and p_values[place] > own:
            stopped = own
        levels[place] = own if stopped is None else stopped
    return levels
