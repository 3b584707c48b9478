"""Keys and values of prompts that several completions continue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qharness.models.growing_cache import joined, joined_pairs, taken


@dataclass(frozen=True)
class SharedPrefixes:
    """Prompts, each for all rows that continue it.

    `names`: a number of each prompt's own; `layers`: (keys, values) [prompts, heads, length, width] of each layer,
    padded on the left where `mask`, int64 [prompts, length], is 0; `owner`, int64 [rows]: each row's prompt.
    """

    names: tuple[int, ...]
    layers: Sequence[tuple[Tensor, Tensor]]
    mask: Tensor
    owner: Tensor

    @property
    def row_mask(self) -> Tensor:
        """The mask of each row's prompt, int64 [rows, length]."""
        return self.mask[self.owner]

    def take(self, chosen: Tensor) -> SharedPrefixes:
        """Those of rows int64 [n]; prompts that none of them continues are dropped, and padding that all share."""
        used, owner = self.owner[chosen].unique(return_inverse=True)
        if len(used) == len(self.names):
            return replace(self, owner=owner)
        mask = self.mask[used]
        start = int(mask.any(dim=0).int().argmax())
        names = tuple(self.names[place] for place in used.tolist())
        return SharedPrefixes(names, taken(self.layers, used, start), mask[:, start:], owner)

    def join(self, others: Sequence[SharedPrefixes]) -> SharedPrefixes:
        """Those of the rows of all; a prompt that several have is held once."""
        all_of = (self, *others)
        layers = joined_pairs([each.layers for each in all_of])
        names = [name for each in all_of for name in each.names]
        first = torch.tensor([names.index(name) for name in names], device=self.owner.device)
        starts = [sum(len(each.names) for each in all_of[:n]) for n in range(len(all_of))]
        owner = torch.cat([first[each.owner + start] for each, start in zip(all_of, starts, strict=True)])
        mask = joined([each.mask for each in all_of], dim=-1)
        return SharedPrefixes(tuple(names), layers, mask, owner).take(torch.arange(len(owner), device=owner.device))
