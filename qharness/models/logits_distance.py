"""How far logits are from those that are due."""

from __future__ import annotations

from torch import Tensor


def logits_distance(found: Tensor, wanted: Tensor) -> float:
    """The greatest relative distance of a row, both [rows, vocabulary], each less its mean; infinite for NaN.

    A constant that is added to a row's logits changes no probability.
    """
    found, wanted = (each.float() - each.float().mean(dim=-1, keepdim=True) for each in (found, wanted))
    worst = ((found - wanted).norm(dim=-1) / wanted.norm(dim=-1).clamp(min=1e-30)).max()
    return float(worst.nan_to_num(float("inf")))
