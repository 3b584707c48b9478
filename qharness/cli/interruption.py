"""Ctrl-C and SIGTERM: a command ends with one line that says what is kept, and with status 130 or 143."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TerminatedError(KeyboardInterrupt):
    """SIGTERM came. It goes the way of Ctrl-C, which all code is prepared for."""


class StoppedCommand(BaseException):
    """A command was interrupted; `typer` lets this one pass. `line`: what to tell; `status`: to exit with."""

    def __init__(self, cause: KeyboardInterrupt) -> None:
        kept = list(dict.fromkeys(getattr(cause, "__notes__", ())))
        goes_on = "the same command goes on from there" if kept else "nothing is kept: the same command begins again"
        self.line = f"stopped: {'; '.join([*kept, goes_on])}"
        self.status = 128 + (signal.SIGTERM if isinstance(cause, TerminatedError) else signal.SIGINT)
        super().__init__(self.line)


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Inside, SIGTERM raises TerminatedError in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(_number: int, _frame: FrameType | None) -> None:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
