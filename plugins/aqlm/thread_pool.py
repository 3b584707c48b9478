"""Runs independent parts of a layer's work, each in one thread, with PyTorch's own threads off.

PyTorch's threads wait for each other after every operation. A layer's operations are short and many, and on a machine
that does other work too, the waiting takes longer than the work.
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
class ThreadPool:
    """Maps a function over parts in `size` threads; one part after another where `executor` is None."""

    size: int = 1
    executor: ThreadPoolExecutor | None = None

    def map(self, function: Callable[[T], U], parts: Sequence[T]) -> list[U]:
        """Return the function's result for each part, in order."""
        return list((self.executor.map if self.executor else map)(function, parts))

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
def thread_pool(device: torch.device) -> Iterator[ThreadPool]:
    """Yield a pool of PyTorch's number of threads on the CPU, of one on another device. It takes no gradients."""
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield SERIAL
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as executor:
            yield ThreadPool(threads, executor)
    finally:
        torch.set_num_threads(threads)
