"""Attention of rows that share their prompts' keys and values: a prompt's are read once for all its rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional

from qharness.models.replaced_names import replaced
from qharness.models.scripted_in_traces import scripted_in_traces


class PrefixAttention:
    """`scaled_dot_product_attention` of one position a row, over its prompt's positions and then its own.

    rows int64 [prompts, most]: the rows of each prompt, the shorter lists filled up with any row; places int64 [rows]:
    where a row stands in that table, counted through all of it.
    """

    def __init__(self, rows: Tensor, places: Tensor) -> None:
        self.rows, self.places = rows, places
        self._expected: tuple[Tensor, Tensor] | None = None
        self._by_head: tuple[int, Tensor, Tensor] | None = None

    @classmethod
    def of(cls, owner: Tensor, prompts: int) -> PrefixAttention:
        """Of rows that continue the prompts `owner`, int64 [rows]."""
        counts = torch.bincount(owner, minlength=prompts)
        order = owner.argsort(stable=True)
        among = torch.arange(len(owner), device=owner.device) - (counts.cumsum(0) - counts)[owner[order]]
        rows = owner.new_zeros(prompts, int(counts.max()))
        rows[owner[order], among] = order
        places = torch.empty_like(owner)
        places[order] = owner[order] * rows.shape[1] + among
        return cls(rows, places)

    @contextmanager
    def taking_over(self) -> Iterator[None]:
        """Be PyTorch's function in this context."""
        with replaced(functional, "scaled_dot_product_attention", self):
            yield

    def expect(self, keys: Tensor, values: Tensor) -> None:
        """Take the prompts' keys and values [prompts, heads, positions, width] for the next call."""
        if self._expected is not None:
            raise NotImplementedError("the model attends otherwise than by scaled_dot_product_attention")
        self._expected = keys, values

    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """Query [rows, heads, queries, width], the rows' own key and value [rows, key heads, positions, width]."""
        if self._expected is None or is_causal or dropout_p:
            raise NotImplementedError("the model attends more than once a layer, or to what it is to find")
        (keys, values), self._expected = self._expected, None
        shape, heads, width = query.shape, key.shape[1], query.shape[-1]
        query = query.reshape(shape[0], heads, -1, width) * (width**-0.5 if scale is None else scale)
        length = keys.shape[-2]
        begins = _begins(_seen(key, attn_mask, length), _TOGETHER)
        scores = torch.cat([self._by_prompt(query, keys), _near(query, key, begins, _TOGETHER)], dim=-1)
        if attn_mask is not None:
            scores = _masked(scores.view(*shape[:3], -1), attn_mask).view_as(scores)
        weights = scores.float().softmax(dim=-1).to(value.dtype)
        found = _own(weights[..., length:], value, begins, _TOGETHER)
        found += self._by_prompt(weights[..., :length], values.transpose(-1, -2))
        return found.reshape(*shape[:3], -1)

    def _by_prompt(self, each: Tensor, of_prompts: Tensor) -> Tensor:
        """Multiply rows [rows, heads, queries, n] with matrices of their prompts [prompts, heads, m, n]."""
        _, heads, queries, inner = each.shape
        prompts, (taken, back) = self.rows.shape[0], self._heads(heads)
        table = each.contiguous().flatten(0, 1).index_select(0, taken)
        found = table.view(prompts, heads, -1, inner) @ of_prompts.transpose(-1, -2)
        return found.view(taken.shape[0], queries, -1).index_select(0, back).view(-1, heads, queries, found.shape[-1])

    def _heads(self, heads: int) -> tuple[Tensor, Tensor]:
        """Where the heads of the table's rows are among the rows' heads, and the rows' heads in the table: int64."""
        if self._by_head is None or self._by_head[0] != heads:
            most, head = self.rows.shape[1], torch.arange(heads, device=self.rows.device)
            taken = self.rows[:, None] * heads + head[:, None]
            back = ((self.places // most * heads)[:, None] + head) * most + (self.places % most)[:, None]
            self._by_head = heads, taken.flatten(), back.flatten()
        return self._by_head[1:]


_TOGETHER = 32
"""Rows whose own positions are multiplied at once, from the first that one of them has: neighbours began together."""


def _seen(key: Tensor, mask: Tensor | None, length: int) -> Tensor:
    """bool [rows, heads, queries, positions]: which of the rows' own positions a mask over all of them leaves."""
    if mask is None:
        return torch.ones(1, 1, 1, 1, dtype=torch.bool, device=key.device).expand(key.shape[0], 1, 1, key.shape[-2])
    seen = mask[..., length:].expand(key.shape[0], -1, -1, -1)
    return seen if mask.dtype == torch.bool else seen > torch.finfo(mask.dtype).min / 2


@scripted_in_traces
def _begins(seen: Tensor, together: int) -> Tensor:
    """int64: the first position that so many rows see, of each such part of the rows; one 0 where rows are few."""
    if seen.shape[0] < 2 * together:
        return torch.zeros(1, dtype=torch.int64, device=seen.device)
    parts = [part.flatten(0, 2).any(0).int().argmax() for part in seen.split(together)]
    return torch.stack(parts)


@scripted_in_traces
def _near(query: Tensor, key: Tensor, begins: Tensor, together: int) -> Tensor:
    """Multiply rows [rows, heads, queries, width] with their keys, a part from its `begins` on; 0 for those before."""
    if begins.shape[0] == 1:
        return query @ key.transpose(-1, -2)
    found = query.new_zeros(query.shape[0], query.shape[1], query.shape[2], key.shape[2])
    for part in range(begins.shape[0]):
        first, last, start = part * together, (part + 1) * together, int(begins[part])
        found[first:last, :, :, start:] = query[first:last] @ key[first:last, :, start:].transpose(-1, -2)
    return found


@scripted_in_traces
def _own(weights: Tensor, value: Tensor, begins: Tensor, together: int) -> Tensor:
    """Sum values by weights [rows, heads, queries, positions], which are 0 before a part's `begins`."""
    if begins.shape[0] == 1:
        return weights @ value
    found: list[Tensor] = []
    for part in range(begins.shape[0]):
        first, last, start = part * together, (part + 1) * together, int(begins[part])
        found.append(weights[first:last, :, :, start:] @ value[first:last, :, start:])
    return torch.cat(found)


def _masked(scores: Tensor, mask: Tensor) -> Tensor:
    return scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
