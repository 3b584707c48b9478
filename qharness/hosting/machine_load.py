"""How busy the machine is before something is timed on it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from qharness.errors import QHarnessError
from qharness.results.measured import MachineLoad

_RUNNABLE = Path("/proc/loadavg")  # its fourth field: tasks that run or wait for a core, of all tasks
_LOOKS, _SECONDS_BETWEEN = 25, 0.04


def machine_load() -> MachineLoad | None:
    """How many tasks run or wait for a core, apart from this one, on average over a second; None but on Linux.

    A second shows what runs now. The load average of a minute, which is returned too, still holds what has just ended.
    In a container, both are of the whole machine, as its number of cores is.
    """
    if not _RUNNABLE.is_file():
        return None
    total = 0
    for _ in range(_LOOKS):
        time.sleep(_SECONDS_BETWEEN)
        total += int(_RUNNABLE.read_text().split()[3].partition("/")[0]) - 1  # the one that reads this is running
    return MachineLoad(max(0, total) / _LOOKS, os.getloadavg()[0], os.cpu_count() or 1)


def require_idle_cores() -> None:
    """Raise QHarnessError where more tasks run than the machine has cores: times would be those of the queue."""
    load = machine_load()
    if load is not None and load.tasks > load.cores:
        raise QHarnessError(
            f"the machine is busy: {load.tasks:.1f} tasks want its {load.cores} cores (load average "
            f"{load.average_1min:.1f}), so that latencies would be too long; wait until it is idle, or --anyway"
        )
