"""The CPU time of all processes that a benchmark starts, for a machine on which a clock says little."""

from __future__ import annotations

import contextlib
import threading

import psutil


class CpuMeter(threading.Thread):
    """Reads, ten times a second, the CPU seconds of this process from here on and of all below it, ended ones too."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._before = sum(psutil.Process().cpu_times())
        self._most = 0.0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.1):
            me, used = psutil.Process(), 0.0
            for each in (me, *me.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    used += sum(each.cpu_times())  # with the programs that a spawner has waited for
            self._most = max(self._most, used - self._before)

    def stop(self) -> float:
        """Return the most that they had used at one time: all, since workers live to the end."""
        self._over.set()
        self.join()
        return self._most
