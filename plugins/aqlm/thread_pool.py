"""Independent parts of a layer's work, one thread each.

PyTorch's own threads meet after every operation. Here operations are short and many, and on a machine that does
something else as well that waiting takes longer than the work: so each thread does whole parts, PyTorch's threads off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
U = TypeVar("U")

_LEAST_ROWS = 64
_WORTH_THREADS = 1 << 20


@dataclass(frozen=True)
class Crew:
    """Maps a function over parts. `pool` None: one after another."""

    size: int = 1
    pool: ThreadPoolExecutor | None = None

    def map(self, function: Callable[[T], U], parts: Sequence[T]) -> list[U]:
        """What `function` returns for each part, in order."""
        return list((self.pool.map if self.pool else map)(function, parts))

    def by_rows(self, function: Callable[[slice], Tensor], rows: int, most: int) -> Tensor:
        """The results for slices of `rows`, of at most `most` each, put together along the first dimension."""
        step = max(min(-(-rows // self.size), most), _LEAST_ROWS)
        return torch.cat(self.map(function, [slice(start, start + step) for start in range(0, rows, step)]))


ALONE = Crew()


@contextmanager
def suited_threads(weights: int) -> Iterator[None]:
    """PyTorch's threads off for the work on a block of so few weights that they would only wait for each other."""
    threads = torch.get_num_threads()
    if weights < _WORTH_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def crew(device: torch.device) -> Iterator[Crew]:
    """As many threads as PyTorch may use on the CPU; on another device, none. Gradients are not for these threads."""
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield ALONE
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield Crew(threads, pool)
    finally:
        torch.set_num_threads(threads)
