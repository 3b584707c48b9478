"""Packs codes at their true bits: eight codes of B bits fill B bytes, least significant bit first."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

_OCTET = 8


def packed_bytes(codes: int, bits: int) -> int:
    """Return how many bytes `pack` makes of so many codes."""
    return -(-codes // _OCTET) * bits


def _overlaps(bits: int) -> Iterator[tuple[int, int, int]]:
    """Yield (byte, code, shift) for each of an octet's B bytes and each code that has bits in it.

    Code c stands at bits c*B to c*B + B - 1, so it lies `shift` = c*B - 8*byte bits above the byte's lowest.
    """
    for byte in range(bits):
        for code in range(_OCTET):
            shift = code * bits - _OCTET * byte
            if -bits < shift < _OCTET:
                yield byte, code, shift


def pack(indices: Tensor, bits: int) -> Tensor:
    """Pack integers from 0 to 2^bits - 1, of any shape, to uint8 [packed_bytes], in the order of their elements.

    bits is 1 to 16; a last octet is filled up with zeros.
    """
    flat = indices.reshape(-1).to(torch.int32)
    octets = torch.nn.functional.pad(flat, (0, -len(flat) % _OCTET)).view(-1, _OCTET)
    packed = torch.zeros(len(octets), bits, dtype=torch.uint8, device=flat.device)
    for byte, code, shift in _overlaps(bits):
        part = octets[:, code] << shift if shift >= 0 else octets[:, code] >> -shift
        packed[:, byte] |= (part & 0xFF).to(torch.uint8)
    return packed.view(-1)


def unpack(packed: Tensor, bits: int, shape: tuple[int, ...]) -> Tensor:
    """Unpack to int32 of `shape`, 0 to 2^bits - 1. Raises ValueError where the number of bytes does not fit."""
    count = math.prod(shape)
    if packed.dtype != torch.uint8 or packed.numel() != packed_bytes(count, bits):
        raise ValueError(
            f"{packed.numel()} bytes of {packed.dtype} hold no {count} codes of {bits} bits: "
            f"that takes {packed_bytes(count, bits)} bytes of torch.uint8"
        )
    octets = packed.view(-1, bits)
    indices = torch.zeros(len(octets), _OCTET, dtype=torch.int32, device=packed.device)
    for byte, code, shift in _overlaps(bits):
        part = octets[:, byte].to(torch.int32)
        indices[:, code] |= part >> shift if shift >= 0 else part << -shift
    return (indices & ((1 << bits) - 1)).view(-1)[:count].view(shape)
