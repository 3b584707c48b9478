"""Round-to-nearest weight quantization, to watch what it does to the model."""

from __future__ import annotations

import torch


def round_to_nearest(weight: torch.Tensor, bits: int, group: int, symmetric: bool) -> torch.Tensor:
    """`weight` (out, in) with each `group` of inputs of a row rounded to 2**bits levels, written back as floats.

    Asymmetric: the levels span the group's minimum to its maximum. Symmetric: integers -2**(bits-1) .. 2**(bits-1) - 1
    times one scale, which maps the largest magnitude to 2**(bits-1) - 0.5 (so that two bits keep four levels in use).
    """
    rows, columns = weight.shape
    grouped = weight.float().reshape(rows, columns // group, group)
    if symmetric:
        half = 2 ** (bits - 1)
        scale = grouped.abs().amax(-1, keepdim=True).clamp(min=1e-12) / (half - 0.5)
        levels = (grouped / scale).round().clamp(-half, half - 1) * scale
    else:
        low, high = grouped.amin(-1, keepdim=True), grouped.amax(-1, keepdim=True)
        scale = ((high - low) / (2**bits - 1)).clamp(min=1e-12)
        levels = ((grouped - low) / scale).round() * scale + low
    return levels.reshape(rows, columns).to(weight.dtype)


def quantize_blocks_(model: torch.nn.Module, bits: int, group: int = 64, symmetric: bool = False) -> None:
    """Round every Linear of the transformer blocks in place."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and ".layers." in name:
            module.weight.data = round_to_nearest(module.weight.data, bits, group, symmetric)
