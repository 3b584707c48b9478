"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere; always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial

from qharness.storage.visible_text import visible

Listener = Callable[[str, int, int], None]
"""Is told of what, how much is done, and of how much."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_SECONDS_BETWEEN_LINES = 20.0


def note(text: str) -> None:
    """One line for the user, on standard error; where that cannot be written, work goes on."""
    with suppress(OSError):
        sys.stderr.write(visible(text) + "\n")
        sys.stderr.flush()


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Tell `listener` of all progress inside, and nobody else."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def lines(what: str) -> Callable[[int, int], None]:
    """A function that writes a line when it is called with `(done, total)`, at most every twenty seconds."""
    last = time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            note(f"{what}: {done} of {total}")

    return line


@contextmanager
def counter(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function `(done, total)` to call as work goes on."""
    if listener := _listener.get():
        yield partial(listener, what)
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
            task = bar.add_task(visible(what), total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    yield lines(what)
