from __future__ import annotations

import pytest
import torch

from qharness import SpecError
from qharness.models.loading import LoadedModel
from qharness.plugins.rtn import Rtn, round_to_nearest
from qharness.quantization.application import quantize
from qharness.registry import get_registry
from tests.tiny_models import CONFIGS, make_model, tokenizer


def test_by_hand() -> None:
    """Levels of [0, 3] at 2 bits are 0, 1, 2, 3; of [-1, 1] they are -1, -1/3, 1/3, 1."""
    weight = torch.tensor([[0.0, 0.4, 0.6, 3.0, -1.0, 0.1, 0.9, 1.0]])
    expected = torch.tensor([[0.0, 0.0, 1.0, 3.0, -1.0, 1 / 3, 1.0, 1.0]])
    assert torch.allclose(round_to_nearest(weight, 2, 4), expected)


@pytest.mark.parametrize("bits", range(1, 9))
def test_error_is_at_most_half_a_step_and_levels_are_few(bits: int) -> None:
    weight = torch.randn(16, 130)
    rounded = round_to_nearest(weight, bits, 64)
    for part, new in zip(weight.split(64, 1), rounded.split(64, 1), strict=True):
        step = (part.amax(1) - part.amin(1)) / (2**bits - 1)
        assert ((part - new).abs().amax(1) <= step / 2 + 1e-6).all()
        assert all(len(row.unique()) <= 2**bits for row in new)


def test_more_bits_and_smaller_groups_are_closer() -> None:
    weight = torch.randn(32, 256)
    errors = [(round_to_nearest(weight, bits, 64) - weight).norm() for bits in range(1, 9)]
    assert errors == sorted(errors, reverse=True)
    groups = [(round_to_nearest(weight, 3, group) - weight).norm() for group in (8, 32, 256)]
    assert groups == sorted(groups)


def test_what_is_on_the_grid_stays_and_so_does_a_constant() -> None:
    grid = torch.tensor([[0.0, 1.0, 2.0, 3.0], [5.0, 5.0, 5.0, 5.0]])
    assert torch.equal(round_to_nearest(grid, 2, 4), grid)
    assert torch.equal(round_to_nearest(round_to_nearest(grid, 2, 4), 2, 4), grid)


@pytest.mark.parametrize("architecture", CONFIGS)
def test_changes_the_blocks_only(architecture: str) -> None:
    model, original = make_model(architecture), make_model(architecture)
    quantized = quantize(LoadedModel(model, tokenizer(), architecture), "rtn:3,group=16")
    changed = {
        n
        for (n, p), (_, o) in zip(quantized.named_parameters(), original.named_parameters(), strict=True)
        if not torch.equal(p, o)
    }
    assert changed and all("embed" not in n and "shared" not in n and "lm_head" not in n for n in changed)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_keeps_the_dtype(dtype: torch.dtype) -> None:
    assert round_to_nearest(torch.randn(4, 8).to(dtype), 4, 8).dtype == dtype


def test_specs() -> None:
    registry = get_registry()
    assert registry.quantizer("rtn:3") == Rtn(3, 64)
    assert registry.quantizer("rtn:3,group=0") == Rtn(3, 0)
    for bad in ("rtn:9", "rtn:0", "rtn:3,group=-1"):
        with pytest.raises(SpecError, match="rtn"):
            registry.quantizer(bad)
