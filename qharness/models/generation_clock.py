"""How long generating takes, and how much of that was spent waiting for a processor that other programs had."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SCHEDULED = Path("/proc/thread-self/schedstat")  # ns on a processor, ns ready to run and waiting for one, turns


@dataclass
class GenerationClock:
    """Adds up seconds of generating. `waited`: those in which the thread was ready to run and had no processor.

    `waited` is NaN where the system does not tell, as it does on Linux. `tokens` were generated; None where nothing
    counts them.
    """

    seconds: float = 0.0
    waited: float = 0.0
    tokens: int | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the block's time, if it ends well."""
        start, waited = time.monotonic(), _waited()
        yield
        self.seconds += time.monotonic() - start
        self.waited += _waited() - waited


def _waited() -> float:
    """Return the seconds that this thread has waited for a processor since it began."""
    try:
        return int(_SCHEDULED.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return float("nan")
