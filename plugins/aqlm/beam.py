"""Beam search over a layer's codes (Egiazarian et al. 2024, section 3.2).

Rows of the weight are independent of each other. A hypothesis is a row's whole set of codes; the search goes through
the groups, and in each through the codebooks, replaces that one code by every entry, and keeps the `beam` best
hypotheses. The code that stands there is among the entries, so the best hypothesis never gets worse; with a beam of 1
the search is coordinate descent.

With R = W - What of a hypothesis and H = X^T X, replacing in group j the entry c' by c changes the error by
2 s^2 (score(c') - score(c)), where score(c) = <c, (R H)_j / s + D_j c'> - c^T D_j c / 2. (R H)_j is kept up to date
within a block of groups, and computed anew for each block, which costs no more and lets no rounding pile up.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from qharness.plugins.aqlm.kmeans import best_codes, quadratic_offsets
from qharness.plugins.aqlm.least_squares import decode
from qharness.plugins.aqlm.thread_pool import SERIAL, ThreadPool

_GROUPS_AT_ONCE = 16
_SCORES_AT_ONCE = 1 << 24
_HASH_LIMIT = 1 << 62


def beam_search(
    weight: Tensor,
    xtx: Tensor,
    codebooks: Tensor,
    codes: Tensor,
    scales: Tensor,
    generator: torch.Generator,
    beam: int = 1,
    pool: ThreadPool = SERIAL,
) -> Tensor:
    """Find codes int64 [out, J, M] that are no worse than `codes` in any row, for any `beam`.

    weight [out, in]; xtx H [in, in]; codebooks [M, K, g]; codes int64 [out, J, M]; scales [out], none 0. Blocks of
    groups, and groups in a block, are taken in an order that `generator` (on the CPU) draws.
    """
    most = _SCORES_AT_ONCE // (codebooks.shape[1] * beam)
    order = _draw_order(codes.shape[1], codes.shape[2], generator)
    return pool.by_rows(
        lambda part: _Search(weight[part], xtx, codebooks, codes[part], scales[part], beam).run(order),
        len(weight),
        most,
    )


@dataclass(frozen=True)
class _Order:
    """The order of blocks of groups: (first, last, order inside) each; and odd numbers [J, M] for a hash of codes."""

    blocks: list[tuple[int, int, list[int]]]
    multipliers: Tensor


def _draw_order(groups: int, books: int, generator: torch.Generator) -> _Order:
    starts = range(0, groups, _GROUPS_AT_ONCE)
    blocks = []
    for index in torch.randperm(len(starts), generator=generator).tolist():
        first, last = starts[index], min(starts[index] + _GROUPS_AT_ONCE, groups)
        blocks.append((first, last, torch.randperm(last - first, generator=generator).tolist()))
    return _Order(blocks, torch.randint(_HASH_LIMIT, (groups, books), generator=generator) * 2 + 1)


@dataclass
class _Block:
    """The state of a block of groups: `pull` = (R H) of its columns [n, beam, columns], and H among those columns."""

    columns: slice
    pull: Tensor
    xtx: Tensor


class _Search:
    """Hypotheses of some rows: codes [n, beam, J, M], rest R [n, beam, in], change of each one's error [n, beam]."""

    def __init__(
        self, weight: Tensor, xtx: Tensor, codebooks: Tensor, codes: Tensor, scales: Tensor, beam: int
    ) -> None:
        self.xtx, self.codebooks, self.beam = xtx, codebooks, beam
        self.scales = scales[:, None, None]
        self.codes = codes[:, None].repeat(1, beam, 1, 1)
        rest = weight - decode(codebooks, codes) * scales[:, None]
        self.rest = rest[:, None].repeat(1, beam, 1)
        self.loss = torch.zeros(len(weight), beam, device=weight.device)
        self.loss[:, 1:] = float("inf")  # copies of the first, until it branches
        self.row = torch.arange(len(weight), device=weight.device)[:, None]

    def run(self, order: _Order) -> Tensor:
        self.multipliers = order.multipliers.to(self.codes.device)
        for first, last, inner in order.blocks:
            self._search_block(first, last, inner)
        return self.codes[self.row[:, 0], self.loss.argmin(1)]

    def _search_block(self, first: int, last: int, order: list[int]) -> None:
        width = self.codebooks.shape[-1]
        columns = slice(first * width, last * width)
        block = _Block(columns, self.rest @ self.xtx[:, columns], self.xtx[columns, columns])
        for offset in order:
            inside = slice(offset * width, (offset + 1) * width)
            metric = block.xtx[inside, inside]
            for book, codebook in enumerate(self.codebooks):
                self._replace(block, first + offset, inside, book, codebook, metric)

    def _replace(self, block: _Block, group: int, inside: slice, book: int, codebook: Tensor, metric: Tensor) -> None:
        """Choose the code of one group and codebook anew in every hypothesis, and bring rest and pull up to date."""
        old = self.codes[:, :, group, book]
        old_entry = codebook[old]  # [n, beam, g]
        target = block.pull[:, :, inside] / self.scales + old_entry @ metric
        offset = quadratic_offsets(codebook, metric)
        if self.beam == 1:
            new = best_codes(target[:, 0], codebook, offset)[:, None]
        else:
            parent, new = self._branch(target, codebook, offset, old, group, book)
            self._follow(parent, block)
            old_entry = old_entry[self.row, parent]
        self.codes[:, :, group, book] = new
        change = self.scales * (codebook[new] - old_entry)
        own = slice(block.columns.start + inside.start, block.columns.start + inside.stop)
        self.rest[:, :, own] -= change
        block.pull -= change @ block.xtx[inside]

    def _branch(
        self, target: Tensor, codebook: Tensor, offset: Tensor, old: Tensor, group: int, book: int
    ) -> tuple[Tensor, Tensor]:
        """Return the best (hypothesis, entry) pairs of each row, [n, beam] both, best first; set their losses."""
        scores = target @ codebook.t() + offset  # [n, beam, K]
        gain = self.scales.square() * 2 * (scores.gather(2, old[:, :, None]) - scores)
        total = self.loss[:, :, None] + gain
        # Hypotheses that differ in this one code only have the same children: let one of them have them.
        others = (self.codes * self.multipliers).sum((2, 3)) - old * self.multipliers[group, book]
        same = (others[:, :, None] == others[:, None, :]).tril(-1).any(2)
        total[same] = float("inf")
        self.loss, best = total.flatten(1).topk(self.beam, largest=False)
        return best // len(codebook), best % len(codebook)

    def _follow(self, parent: Tensor, block: _Block) -> None:
        self.codes = self.codes[self.row, parent]
        self.rest = self.rest[self.row, parent]
        block.pull = block.pull[self.row, parent]
