"""A layer of transformers' cache of keys and values that writes new positions in place."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor
from torch.nn.functional import pad as padded
from transformers.cache_utils import DynamicLayer

_LEAST_GROWTH = 64  # positions


class GrowingLayer(DynamicLayer):
    """A layer whose keys and values are the beginning of buffers; transformers' own copies all at each step."""

    _buffers: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(cls, keys: Tensor, values: Tensor, length: int) -> GrowingLayer:
        """A layer of so many positions in buffers [rows, heads, room, width]."""
        layer = cls()
        layer.lazy_initialization(keys, values)
        layer._buffers = keys, values
        layer._show(length)
        return layer

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

    def room_for(self, new: int) -> tuple[Tensor, Tensor]:
        """The buffers of keys and values, with room for so many more positions."""
        old = cast(Tensor, self.keys), cast(Tensor, self.values)
        start, end = old[0].shape[-2], old[0].shape[-2] + new
        if self._buffers is None or self._buffers[0].shape[-2] < end:
            growth = end + max(_LEAST_GROWTH, end // 4) - start
            self._buffers = padded(old[0], (0, 0, 0, growth)), padded(old[1], (0, 0, 0, growth))
        return self._buffers

    def grow(self, new: int) -> tuple[Tensor, Tensor]:
        """Take in so many positions more that were written; return the keys and values of all."""
        return self._show(cast(Tensor, self.keys).shape[-2] + new)

    def _show(self, length: int) -> tuple[Tensor, Tensor]:
        assert self._buffers is not None
        keys, values = (buffer[..., :length, :] for buffer in self._buffers)
        self.keys, self.values = keys, values
        return keys, values
