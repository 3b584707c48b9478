"""A quantized weight, its codes packed to their true bits, and the Linear that runs it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qharness.plugins.aqlm.packing import pack, packed_bytes, unpack
from qharness.plugins.aqlm.weight import AqlmLinear, QuantizedWeight, unwrap, wrap
from tests.aqlm_models import random_weight

BITS = st.integers(1, 16)


@settings(max_examples=150)
@given(BITS, st.lists(st.integers(0, 9), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_packing_round_trips_and_takes_no_more_bits_than_it_says(bits: int, shape: list[int], seed: int) -> None:
    codes = torch.randint(0, 1 << bits, shape, generator=torch.Generator().manual_seed(seed))
    packed = pack(codes, bits)
    assert packed.dtype == torch.uint8 and len(packed) == packed_bytes(codes.numel(), bits)
    assert len(packed) * 8 < codes.numel() * bits + 8 * bits
    assert torch.equal(unpack(packed, bits, tuple(shape)), codes.to(torch.int32))


def test_packing_by_hand() -> None:
    """Codes of 3 bits: 1, 2, 3, 4, 5, 6, 7, 0 are the bits 100 010 110 001 101 011 111 000, lowest first."""
    codes = torch.tensor([1, 2, 3, 4, 5, 6, 7, 0])
    assert pack(codes, 3).tolist() == [0b11010001, 0b01011000, 0b00011111]
    assert pack(torch.tensor([0x1234, 0xFEDC]), 16).tolist()[:4] == [0x34, 0x12, 0xDC, 0xFE]


@pytest.mark.parametrize("bits", [1, 8, 15])
def test_unpacking_what_does_not_fit(bits: int) -> None:
    with pytest.raises(ValueError, match=f"hold no 9 codes of {bits} bits"):
        unpack(torch.zeros(bits, dtype=torch.uint8), bits, (9,))


@settings(max_examples=30)
@given(BITS)
def test_codes_are_wrapped_as_the_package_does(bits: int) -> None:
    from aqlm.utils import pack_int_data, unpack_int_data

    indices = torch.arange(0, 1 << bits)
    kept = wrap(indices, bits)
    theirs = pack_int_data(indices.clone(), bits)
    assert kept.dtype == theirs.dtype and torch.equal(kept, theirs)
    assert torch.equal(unwrap(kept, bits).long(), indices) and torch.equal(unpack_int_data(kept, bits), indices)


@pytest.mark.parametrize(("books", "bits", "group"), [(1, 1, 4), (2, 8, 8), (3, 5, 2), (2, 12, 8)])
def test_dequantized_by_the_definition(books: int, bits: int, group: int) -> None:
    weight = random_weight(6, 16, books, bits, group, torch.Generator().manual_seed(0))
    indices = weight.indices()
    expected = torch.zeros(6, 16)
    for o in range(6):
        for j in range(16 // group):
            vectors = [weight.codebooks[m, indices[o, j, m], 0] for m in range(books)]
            expected[o, j * group : (j + 1) * group] = weight.scales[o].item() * torch.stack(vectors).sum(0)
    assert weight.shape == (6, 16) and weight.bits == bits
    assert torch.allclose(weight.dequantize(), expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dequantizes_as_the_package_does(dtype: torch.dtype) -> None:
    from aqlm.utils import _dequantize_weight, unpack_int_data

    weight = random_weight(12, 32, 2, 10, 8, torch.Generator().manual_seed(1), dtype)
    theirs = _dequantize_weight(unpack_int_data(weight.codes, 10), weight.codebooks, weight.scales)
    assert weight.dequantize().dtype == dtype and torch.equal(weight.dequantize(), theirs)


def test_from_indices_and_gradients() -> None:
    generator = torch.Generator().manual_seed(2)
    drawn = random_weight(4, 8, 2, 3, 4, generator)
    weight = QuantizedWeight.from_indices(drawn.codebooks, drawn.indices(), drawn.scales)
    assert torch.equal(weight.codes, drawn.codes)
    linear = AqlmLinear(weight, torch.zeros(4))
    assert not any(parameter.requires_grad for parameter in linear.parameters())
    linear.requires_grad_()
    linear(torch.randn(3, 8, generator=generator)).square().sum().backward()
    for parameter in linear.parameters():
        assert parameter.grad is not None and math.isfinite(parameter.grad.norm()) and parameter.grad.norm() > 0
