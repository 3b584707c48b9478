"""Runs independent parts of a layer's work, each in one thread, with PyTorch's own threads off.

PyTorch's threads wait for each other after every operation. A layer's operations are short and many, and on a machine
that does other work too, the waiting takes longer than the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
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
class ThreadPool:
    """Maps a function over parts in `size` threads; one part after another where `executor` is None."""

    size: int = 1
    executor: ThreadPoolExecutor | None = None

    def map(self, function: Callable[[T], U], parts: Sequence[T]) -> list[U]:
        """Return the function's result for each part, in order."""
        return list((self.executor.map if self.executor else map)(function, parts))

    def as_done(self, function: Callable[[T], U], parts: Sequence[T]) -> Iterator[tuple[T, U]]:
        """Yield each part and the function's result for it, as they come."""
        if self.executor is None:
            yield from ((part, function(part)) for part in parts)
            return
        begun = {self.executor.submit(function, part): part for part in parts}
        yield from ((begun[future], future.result()) for future in as_completed(begun))

    def by_rows(self, function: Callable[[slice], Tensor], rows: int, most: int) -> Tensor:
        """Call the function on slices of at most `most` of `rows`; return the results, joined along dimension 0."""
        step = max(min(-(-rows // self.size), most), _LEAST_ROWS)
        return torch.cat(self.map(function, [slice(start, start + step) for start in range(0, rows, step)]))


SERIAL = ThreadPool()


@contextmanager
def suited_threads(weights: int) -> Iterator[None]:
    """Turn PyTorch's threads off for work on a block of so few weights that they would mostly wait."""
    threads = torch.get_num_threads()
    if weights < _WORTH_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def thread_pool(device: torch.device, most: int | None = None) -> Iterator[ThreadPool]:
    """Yield a pool of PyTorch's number of threads on the CPU, of one on another device.

    With more threads than `most`, that many share the others: a pool that is made in one of them has its share.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield SERIAL
        return
    size = min(threads, most or threads)
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(size, initializer=torch.set_num_threads, initargs=(threads // size,)) as executor:
            yield ThreadPool(size, executor)
    finally:
        torch.set_num_threads(threads)
