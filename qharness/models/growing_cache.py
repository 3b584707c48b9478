"""A cache of keys and values that grows in place, and in which rows may share the positions of their prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from qharness.models.prefix_attention import PrefixAttention

_LEAST_GROWTH = 64  # positions


class GrowingLayer(DynamicLayer):
    """A layer whose keys and values are the beginning of buffers; transformers' own copies all at each step."""

    _buffers: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(cls, keys: Tensor, values: Tensor) -> GrowingLayer:
        """A layer of these keys and values [rows, heads, positions, width]."""
        layer = cls()
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        return layer

    def within(self, length: int) -> GrowingLayer:
        """Take the keys and values for buffers, of which so many positions are written."""
        self._buffers = cast(Tensor, self.keys), cast(Tensor, self.values)
        self._show(length)
        return self

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values [rows, heads, new positions, width]; return those of all positions."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states[..., :0, :], value_states[..., :0, :]
        new = key_states.shape[-2]
        start = cast(Tensor, self.keys).shape[-2]
        for buffer, states in zip(self.room_for(new), (key_states, value_states), strict=True):
            buffer[..., start : start + new, :] = states
        return self.grow(new)

    def get_seq_length(self) -> int:
        """Positions that are written."""
        return cast(Tensor, self.keys).shape[-2] if self.is_initialized else 0

    def room_for(self, new: int) -> tuple[Tensor, Tensor]:
        """The buffers of keys and values, with room for so many more positions."""
        old = cast(Tensor, self.keys), cast(Tensor, self.values)
        end = old[0].shape[-2] + new
        if self._buffers is None or self._buffers[0].shape[-2] < end:
            room = end + max(_LEAST_GROWTH, end // 4)
            self._buffers = _with_room(old[0], room), _with_room(old[1], room)
        return self._buffers

    def grow(self, new: int) -> tuple[Tensor, Tensor]:
        """Take in so many positions more that were written; return the keys and values of all."""
        return self._show(cast(Tensor, self.keys).shape[-2] + new)

    def _show(self, length: int) -> tuple[Tensor, Tensor]:
        assert self._buffers is not None
        keys, values = (buffer[..., :length, :] for buffer in self._buffers)
        self.keys, self.values = keys, values
        return keys, values


class SharedLayer(GrowingLayer):
    """A layer of each row's own positions, after those of a prompt that several rows share.

    `attention` learns of the prompts' keys and values [prompts, heads, positions, width] with each update.
    """

    prefix: tuple[Tensor, Tensor]
    attention: PrefixAttention

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append to the rows' own; return these alone."""
        self.attention.expect(*self.prefix)
        return super().update(key_states, value_states)

    def get_seq_length(self) -> int:
        """Positions of the prompts and of the rows' own."""
        return self.prefix[0].shape[-2] + super().get_seq_length()


class GrowingCache(Cache):
    """A cache of such layers. `attention`: of layers whose rows share prompts."""

    attention: PrefixAttention | None

    def __init__(
        self,
        layers: Iterable[tuple[Tensor, Tensor]] = (),
        attention: PrefixAttention | None = None,
        prefixes: Iterable[tuple[Tensor, Tensor]] = (),
    ) -> None:
        """Of each layer's keys and values; layers that are not given are added at their first update."""
        kind = GrowingLayer if attention is None else SharedLayer
        super().__init__(layer_class_to_replicate=kind)
        self.attention = attention
        self.layers = [kind.of(keys, values) for keys, values in layers]
        if attention is not None:
            for layer, prefix in zip(self.growing, prefixes, strict=True):
                assert isinstance(layer, SharedLayer)
                layer.attention, layer.prefix = attention, prefix

    @property
    def growing(self) -> list[GrowingLayer]:
        """The layers."""
        return cast(list[GrowingLayer], self.layers)

    @property
    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """(keys, values) of each layer, of the rows' own positions."""
        return [(cast(Tensor, layer.keys), cast(Tensor, layer.values)) for layer in self.growing]

    @property
    def prefixes(self) -> list[tuple[Tensor, Tensor]]:
        """(keys, values) of each layer's prompts."""
        return [layer.prefix for layer in self.growing if isinstance(layer, SharedLayer)]

    def last_half(self) -> GrowingCache:
        """A cache of the later half of the positions."""
        halves = [[(k[..., k.shape[-2] // 2 :, :], v[..., v.shape[-2] // 2 :, :]) for k, v in pairs]
                  for pairs in (self.pairs, self.prefixes)]  # fmt: skip
        return GrowingCache(halves[0], self.attention, halves[1])

    def grow(self) -> None:
        """Take in a position that was written to the buffers."""
        for layer in self.growing:
            layer.grow(1)

    def tensors(self) -> tuple[Tensor, ...]:
        """All that a step of one token reads and writes, with room for it; `of_tensors` makes a cache of them."""
        buffers = [buffer for layer in self.growing for buffer in layer.room_for(1)]
        if self.attention is None:
            return tuple(buffers)
        return (self.attention.rows, self.attention.places, *(t for pair in self.prefixes for t in pair), *buffers)

    @classmethod
    def of_tensors(cls, tensors: Sequence[Tensor], length: int, *, shared: bool) -> GrowingCache:
        """A cache that writes to these tensors; `length`: positions that are written, those of the prompts too."""
        if shared:
            attention, rest = PrefixAttention(*tensors[:2]), tensors[2:]
            prefixes, buffers = _pairs(rest[: len(rest) // 2]), _pairs(rest[len(rest) // 2 :])
            cache = cls(buffers, attention, prefixes)
            length = length - prefixes[0][0].shape[-2]
        else:
            cache = cls(_pairs(tensors))
        for layer in cache.growing:
            layer.within(length)
        return cache


def _pairs(tensors: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(tensors[::2], tensors[1::2], strict=True))


def _with_room(each: Tensor, positions: int) -> Tensor:
    """A buffer of so many positions that begins with these; nothing reads the others before they are written."""
    buffer = each.new_empty(*each.shape[:-2], positions, each.shape[-1])
    buffer[..., : each.shape[-2], :] = each
    return buffer


def joined(same: Sequence[Tensor], dim: int = -2) -> Tensor:
    """Tensors one below the other, padded on the left of `dim` with zeros to the longest."""
    shape = list(same[0].shape)
    shape[0], shape[dim] = sum(len(each) for each in same), max(each.shape[dim] for each in same)
    whole = same[0].new_empty(shape)
    for rows, each in zip(whole.split([len(each) for each in same]), same, strict=True):
        length = each.shape[dim]
        rows.narrow(dim, 0, shape[dim] - length).zero_()
        rows.narrow(dim, shape[dim] - length, length).copy_(each)
    return whole


def joined_pairs(of_each: Sequence[Sequence[tuple[Tensor, Tensor]]]) -> list[tuple[Tensor, Tensor]]:
    """(keys, values) of each layer of several caches, joined."""
    return [
        (joined([keys for keys, _ in same]), joined([values for _, values in same]))
        for same in zip(*of_each, strict=True)
    ]


def taken(pairs: Iterable[tuple[Tensor, Tensor]], rows: Tensor, start: int) -> list[tuple[Tensor, Tensor]]:
    """(keys, values) of each layer, of rows int64 [n] and from a position on."""
    return [(keys[rows][..., start:, :], values[rows][..., start:, :]) for keys, values in pairs]
