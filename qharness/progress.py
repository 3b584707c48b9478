"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere; always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SECONDS_BETWEEN_LINES = 20.0


def note(text: str) -> None:
    """One line for the user, on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


@contextmanager
def counter(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function `(done, total)` to call as work goes on."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    last = time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            note(f"{what}: {done} of {total}")

    yield line
