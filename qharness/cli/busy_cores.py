"""How long OpenMP's threads spin while they wait for each other: briefly, where other programs want the cores too.

PyTorch's threads wait at the end of every small operation. On an idle machine spinning for a millisecond is fastest. On
a busy one the thread that the others wait for may have no core, for they spin on it: generation takes tens of times as
long.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
_SPINS, _POLICY = "GOMP_SPINCOUNT", "OMP_WAIT_POLICY"
_FEW = "1000"  # as libgomp itself spins where a program has more threads than cores
_WAITING = (3, 4)  # the columns idle and iowait of a core's line
_BUSY_CORES = 0.3


@dataclass(frozen=True)
class CoreUse:
    """Seconds since the machine's start that this process's cores were in use (`by_all`), by this process (`own`)."""

    wall: float
    by_all: float
    own: float

    @classmethod
    def now(cls) -> CoreUse | None:
        """Read them; None but on Linux."""
        if not _STAT.is_file():
            return None
        lines = (line.split() for line in _STAT.read_text(encoding="ascii").splitlines() if line.startswith("cpu"))
        ticks = {name: [int(each) for each in columns[:8]] for name, *columns in lines}
        mine = [ticks[f"cpu{core}"] for core in os.sched_getaffinity(0) if f"cpu{core}" in ticks]
        used = sum(sum(each) - sum(each[column] for column in _WAITING) for each in mine)
        return cls(time.monotonic(), used / os.sysconf("SC_CLK_TCK"), time.process_time())

    def others_since(self, before: CoreUse) -> float:
        """How many of the cores other programs have used since then, on average."""
        others = (self.by_all - before.by_all) - (self.own - before.own)
        return max(0.0, others) / max(self.wall - before.wall, 1e-9)


_BEGAN = CoreUse.now()


def spins_where_busy(others: float, cores: int, environment: Mapping[str, str]) -> str | None:
    """How often threads look before they sleep, where other programs use so many of the cores; None as by default.

    What the user has said in `environment` holds, and few threads leave room for other programs.
    """
    if _SPINS in environment or _POLICY in environment:
        return None
    threads = environment.get("OMP_NUM_THREADS", "")
    wanted = int(threads) if threads.isdecimal() else cores
    return _FEW if others > _BUSY_CORES and others + wanted > cores else None


def spare_busy_cores() -> None:
    """Set this for libraries that are loaded later, by what other programs did since this module was imported."""
    now = CoreUse.now()
    if now is None or _BEGAN is None:
        return
    others = now.others_since(_BEGAN)
    if spins := spins_where_busy(others, len(os.sched_getaffinity(0)), os.environ):
        os.environ[_SPINS] = spins
