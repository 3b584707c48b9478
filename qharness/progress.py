"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere; always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial

from qharness.visible_text import visible

Listener = Callable[[str, int, int], None]
"""A function `(work, done, total)`: of the steps of that work, `total` in all, so many are done."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_SECONDS_BETWEEN_LINES = 20.0


def note(text: str) -> None:
    """Write one line for the user to standard error; where it cannot be written, work goes on."""
    with suppress(OSError):
        sys.stderr.write(visible(text) + "\n")
        sys.stderr.flush()


@contextmanager
def progress_sent_to(listener: Listener) -> Iterator[None]:
    """Inside, all counters call `listener` and write nothing."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def lines(work: str) -> Callable[[int, int], None]:
    """Return a function `(done, total)` that writes a line, at most every twenty seconds."""
    last = time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            note(f"{work}: {done} of {total}")

    return line


@contextmanager
def counter(work: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function `(done, total)` to call as work goes on: it moves a bar, writes lines, or calls a listener."""
    if listener := _listener.get():
        yield partial(listener, work)
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(visible(work), total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    yield lines(work)
