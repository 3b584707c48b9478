"""Progress bars of other packages, which report to a phase of ours and are not drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any

from qharness.progress import Progress


class RelayedBar:
    """Stands for a bar of tqdm: calls `progress` where that would move. What else is asked of it does nothing."""

    def __init__(
        self, progress: Progress, items: Iterable[Any] | None = None, *, total: int | None = None, **_looks: object
    ) -> None:
        self._progress, self._items = progress, items
        self.total = len(items) if total is None and isinstance(items, Sized) else total
        self.n = 0

    def __iter__(self) -> Iterator[Any]:
        for item in self._items or ():
            yield item
            self.update()

    def update(self, n: int = 1) -> None:
        """Take down `n` steps more."""
        self.n += n
        self._progress(self.n, self.total or 0)

    def __enter__(self) -> RelayedBar:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *_, **__: None


@contextmanager
def transformers_bars_sent_to(progress: Progress) -> Iterator[None]:
    """Inside, the bars of transformers report to `progress`."""
    from transformers.utils import logging

    def relayed(_: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> RelayedBar:
        return RelayedBar(progress, *args[:1], total=kwargs.get("total"))

    before = logging.set_tqdm_hook(relayed)
    try:
        yield
    finally:
        logging.set_tqdm_hook(before)
