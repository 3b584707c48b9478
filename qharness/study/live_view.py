"""Shows a study's progress on standard error: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qharness.metrics.shown_figures import score
from qharness.progress import Pace, lines, note
from qharness.study.executors import Watcher
from qharness.study.jobs import Attempt, Job
from qharness.visible_text import visible

if TYPE_CHECKING:
    from rich.table import Table

_ROWS_BESIDES = 8
"""Lines of a terminal that are not the table's rows."""


_STATE = 26
_SETTINGS = ("model", "quant", "task", "seed")


def _names(job: Job) -> tuple[str, ...]:
    """A job's settings, of which those are shown that tell jobs apart."""
    return job.model.model, job.model.quant, job.label, str(job.model.seed)


class Lines:
    """Writes a line for each event."""

    def __init__(self, jobs: Sequence[Job], workers: int = 1) -> None:
        self._jobs, self._several = list(jobs), workers > 1
        self._moving: dict[tuple[Job, str], Callable[[int, int], None]] = {}

    def began(self, job: Job) -> None:
        """Write the job's number and name."""
        note(f"run {self._jobs.index(job) + 1} of {len(self._jobs)}: {job}")

    def moved(self, job: Job, what: str, done: int, total: int) -> None:
        """Write how far it is, from time to time."""
        label = f"{what} of {job}" if self._several else what
        self._moving.setdefault((job, what), lines(label))(done, total)

    def said(self, line: str, worker: int | None = None) -> None:
        """Write the line, and the worker's number where there are several."""
        note(f"[{worker}] {line}" if self._several and worker is not None else line)

    def ended(self, attempt: Attempt) -> None:
        """Write the error, if any: results are in the table at the end."""
        if attempt.error:
            note(f"failed: {attempt.error}")


@dataclass
class _LiveRow:
    state: str = "waiting"
    value: str = ""
    began: float | None = None
    seconds: float | None = None
    pace: Pace | None = None

    @property
    def time(self) -> str:
        """Seconds that the job took, or has taken so far."""
        if self.seconds is None and self.began is None:
            return ""
        return f"{self.seconds if self.seconds is not None else time.monotonic() - (self.began or 0):.0f}"


class LiveTable:
    """A table with a row a job; lines of the processes appear above it."""

    def __init__(self, jobs: Sequence[Job], write: Callable[[str], None], height: int) -> None:
        self._rows = {job: _LiveRow() for job in jobs}
        self._write, self._height = write, max(3, height - _ROWS_BESIDES)

    def began(self, job: Job) -> None:
        """Show that the job loads its model, or quantizes it."""
        row = self._rows[job]
        row.state = "loading" if job.model.quant == "none" else "quantizing or loading"
        row.began = time.monotonic()

    def moved(self, job: Job, what: str, done: int, total: int) -> None:
        """Show how many completions or programs are done."""
        row = self._rows[job]
        if row.pace is None or row.pace.name != what:
            row.pace = Pace(what)
        row.pace.move(done, total)
        row.state = f"{what} {done}/{total}{row.pace.left}" if total else what

    def said(self, line: str, worker: int | None = None) -> None:
        """Write the line above the table."""
        self._write(line)

    def ended(self, attempt: Attempt) -> None:
        """Show the first metric, or write the error."""
        row = self._rows[attempt.job]
        row.state = "failed" if attempt.error else "done"
        row.seconds = time.monotonic() - row.began if row.began is not None else None
        if attempt.result:
            name, value = next(iter(attempt.result.metrics.items()), ("", None))
            row.value = "" if value is None else f"{name} {score(name, value)}"
        if attempt.error:
            self._write(f"failed: {attempt.error}")

    def __rich__(self) -> Table:
        """The table with as many rows as fit, from a little before the first job that has not ended."""
        from rich import box
        from rich.table import Table

        states = [row.state for row in self._rows.values()]
        ended = [state in ("done", "failed") for state in states]
        first = ended.index(False) if False in ended else len(ended)
        start = max(0, min(first - 2, len(states) - self._height))
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        told = [n for n, values in enumerate(zip(*map(_names, self._rows), strict=True)) if len({*values}) > 1]
        for name in (*(_SETTINGS[n] for n in told), "state", "value", "s"):
            table.add_column(name, no_wrap=True, overflow="ellipsis", min_width=_STATE if name == "state" else None)
        for job, row in list(self._rows.items())[start : start + self._height]:
            cells = (*(_names(job)[n] for n in told), row.state, row.value, row.time)
            table.add_row(*map(visible, cells))
        table.caption = f"{states.count('done')} of {len(states)} done, {states.count('failed')} failed"
        return table


@contextmanager
def live_view(jobs: Sequence[Job], workers: int = 1) -> Iterator[Watcher]:
    """The watcher for standard error: a table if it is a terminal, else lines."""
    if not sys.stderr.isatty():
        yield Lines(jobs, workers)
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, markup=False, emoji=False)
    table = LiveTable(jobs, lambda line: console.print(visible(line), highlight=False), console.height)
    with Live(table, console=console, refresh_per_second=2):
        yield table
