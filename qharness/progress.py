"""Progress of long work, by phases, on standard error: one line that is redrawn on a terminal, few lines elsewhere."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from enum import IntEnum
from functools import partial

from qharness.scoped_value import scoped
from qharness.visible_text import visible

Listener = Callable[[str, int, int], None]
"""A function `(phase, done, total)`: of the steps of that phase, `total` in all, so many are done; 0 where unknown."""
Progress = Callable[[int, int], None]
"""A function `(done, total)` that work calls as it goes on."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_shown: ContextVar[bool] = ContextVar("shown", default=False)
_VERBOSITY = "QHARNESS_VERBOSITY"
_SECONDS_TO_FIRST_LINE = 5.0
_SECONDS_BETWEEN_LINES = 30.0
_HEAD_START_S = 0.5


class Verbosity(IntEnum):
    """What is said besides the answer: errors alone; notes and progress; also what is loaded, and phases' times."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


def verbosity() -> Verbosity:
    """The verbosity in the environment, which worker processes share."""
    return Verbosity.__members__.get(os.environ.get(_VERBOSITY, "").upper(), Verbosity.NORMAL)


def set_verbosity(chosen: Verbosity) -> None:
    """Set the verbosity of this process, and of those that it starts."""
    os.environ[_VERBOSITY] = chosen.name.lower()


@contextmanager
def verbosity_restored() -> Iterator[None]:
    """Give the environment its verbosity back after the block."""
    before = os.environ.get(_VERBOSITY)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_VERBOSITY, None)
        else:
            os.environ[_VERBOSITY] = before


def complain(text: str) -> None:
    """Write one line to standard error, whatever the verbosity; where it cannot be written, work goes on."""
    with suppress(OSError):
        sys.stderr.write(visible(text) + "\n")
        sys.stderr.flush()


def note(text: str) -> None:
    """Write one line for the user to standard error, unless the user wants the answer alone."""
    if verbosity() > Verbosity.QUIET:
        complain(text)


def detail(text: str) -> None:
    """Write one line for a user who wants to know more."""
    if verbosity() >= Verbosity.VERBOSE:
        complain(text)


@contextmanager
def kept_when_stopped(kept: Callable[[], str]) -> Iterator[None]:
    """Where Ctrl-C or SIGTERM ends the block, add what is kept of its work to the exception, for the last line.

    An empty text adds nothing.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if text := kept():
            error.add_note(text)
        raise


def progress_sent_to(listener: Listener) -> AbstractContextManager[None]:
    """Inside, all phases call `listener` and show nothing."""
    return scoped(_listener, listener)


class Pace:
    """How far a phase is: `done` steps of `total` (0: unknown), its rate, and the seconds that are left at that rate.

    Steps that are done within half a second were done before (completions of an earlier run, say), and do not count.
    """

    def __init__(self, name: str, unit: str = "") -> None:
        self.name, self.unit = name, unit
        self.done = self.total = 0
        self._began = time.monotonic()
        self._origin = self._began, 0

    def move(self, done: int, total: int) -> None:
        """Take down how many steps are done."""
        now = time.monotonic()
        if now - self._began < _HEAD_START_S:
            self._origin = now, done
        self.done, self.total = done, total

    @property
    def seconds(self) -> float:
        """Seconds since the phase began."""
        return time.monotonic() - self._began

    @property
    def rate(self) -> float:
        """Steps a second; 0 as long as none is done."""
        moment, done = self._origin
        seconds = time.monotonic() - moment
        return (self.done - done) / seconds if seconds > 0 else 0.0

    @property
    def summary(self) -> str:
        """What was done, once it is: `generate: 840 completions in 26 s (32/s)`."""
        if not self.done:
            return f"{self.name}: {duration(self.seconds)}"
        rate = f" ({_rate_text(self.rate)})" if self.rate else ""
        return f"{self.name}: {self._steps(self.done)} in {duration(self.seconds)}{rate}"

    @property
    def state(self) -> str:
        """What stands behind the phase's name: `120 of 840 completions, 32/s, 23 s left`."""
        if not self.total:
            return duration(self.seconds)
        counted = self._steps(f"{self.done} of {self.total}")
        if not self.rate:
            return f"{counted}, {duration(self.seconds)} so far"
        return f"{counted}, {_rate_text(self.rate)}{self.left}"

    @property
    def left(self) -> str:
        """The time that the rest takes, as `, 23 s left`; empty where there is no rate yet."""
        return f", {duration((self.total - self.done) / self.rate)} left" if self.rate else ""

    def __str__(self) -> str:
        return f"{self.name}: {self.state}"

    def _steps(self, count: object) -> str:
        return f"{count} {self.unit}".rstrip()


def duration(seconds: float) -> str:
    """Seconds in the unit that people use: `8 s`, `3 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _rate_text(rate: float) -> str:
    unit, scaled = ("s", rate) if rate >= 1 else ("min", 60 * rate) if rate >= 1 / 60 else ("h", 3600 * rate)
    return f"{scaled:.0f}/{unit}" if scaled >= 10 else f"{scaled:.1f}/{unit}"


@contextmanager
def phase(name: str, unit: str = "") -> Iterator[Progress]:
    """Show a phase of work while the block runs; yield a function `(done, total)` to call as it goes on.

    Inside another phase it shows nothing.
    """
    if listener := _listener.get():
        listener(name, 0, 0)
        yield partial(listener, name)
        return
    pace = Pace(name, unit)
    if _shown.get() or verbosity() is Verbosity.QUIET:
        yield pace.move
    else:
        with scoped(_shown, True), _bar(pace) if sys.stderr.isatty() else _lines(pace):
            yield pace.move
    detail(pace.summary)


@contextmanager
def _bar(pace: Pace) -> Iterator[None]:
    """Redraw one line of a terminal until the phase ends; then it is gone."""
    from rich import progress as rich_progress
    from rich.console import Console
    from rich.text import Text

    class PaceColumn(rich_progress.ProgressColumn):
        """The pace, as it is now; moves the bar as well."""

        def render(self, task: rich_progress.Task) -> Text:
            bar.update(task.id, completed=pace.done, total=pace.total or None)
            return Text(pace.state, no_wrap=True, overflow="ellipsis")

    class NameColumn(rich_progress.ProgressColumn):
        """The phase's name."""

        def render(self, task: rich_progress.Task) -> Text:
            return Text(visible(pace.name), style="bold", no_wrap=True)

    columns = (NameColumn(), rich_progress.BarColumn(16), PaceColumn())
    with rich_progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task("", total=None)
        yield


@contextmanager
def _lines(pace: Pace) -> Iterator[None]:
    """Write a line after five seconds, and then every thirty, until the phase ends."""
    ended = threading.Event()

    def write() -> None:
        wait = _SECONDS_TO_FIRST_LINE
        while not ended.wait(wait):
            note(str(pace))
            wait = _SECONDS_BETWEEN_LINES

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def lines(name: str) -> Progress:
    """Return a function `(done, total)` that writes a line about another process's phase, every thirty seconds."""
    pace, last = Pace(name), time.monotonic()

    def line(done: int, total: int) -> None:
        nonlocal last
        pace.move(done, total)
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            note(str(pace))

    return line
