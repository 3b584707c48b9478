"""Cgroups, in which the kernel counts the CPU time of a spawner's programs, where it lets us make them.

Looks at /proc miss the time of children that nobody waits for; a cgroup has it, whoever reaps them. Its `cpu.stat`
needs no controller, so a cgroup of version 2 below our own is enough: root may make one wherever the file system is
writable, an ordinary user where it is delegated (`systemd-run --user --scope -p Delegate=yes`).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from qharness.execution.jail.process_tree import CPU_STAT

_PREFIX = "qharness-"
_numbers = itertools.count()
_ENTER = f'[ -r "$0/cpu.stat" ] && echo 0 >"$0/cgroup.procs" && exec {CPU_STAT}<"$0/cpu.stat"; exec "$@"'
_DYING_SECONDS = 0.5  # that processes of a killed namespace get to be gone


@dataclass(frozen=True)
class Cgroup:
    """A cgroup of our own, for one process and all that it starts."""

    folder: Path

    @classmethod
    def make(cls) -> Cgroup | None:
        """Make a cgroup, and remove those that processes left which are gone; return None where we may not."""
        parent = delegated()
        if parent is None:
            return None
        for each in parent.glob(f"{_PREFIX}*"):
            if not Path("/proc", each.name.split("-")[1]).exists():
                cls(each).remove(seconds=0.0)
        folder = parent / f"{_PREFIX}{os.getpid()}-{next(_numbers)}"
        try:
            folder.mkdir()
        except OSError:
            return None
        return cls(folder)

    def entering(self, argv: Sequence[str]) -> list[str]:
        """Return a command that enters this cgroup, opens `cpu.stat` as descriptor CPU_STAT, and becomes `argv`.

        Where it cannot enter, it becomes `argv` all the same, without that descriptor.
        """
        return ["/bin/sh", "-c", _ENTER, str(self.folder), *argv]

    def remove(self, seconds: float = _DYING_SECONDS) -> None:
        """Remove it when its processes are gone; wait that long for them. What is left, a later `make` removes."""
        end = time.monotonic() + seconds
        while self.folder.exists():
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                return
            if time.monotonic() >= end:
                return
            time.sleep(0.005)


@cache
def delegated() -> Path | None:
    """Find the cgroup that we are in, if we may put processes into others below it; return None if not."""
    try:
        own = _own_folder(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    except OSError:
        return None
    if own is None or not all(os.access(path, os.W_OK) for path in (own, own / "cgroup.procs")):
        return None
    return own


def _own_folder(cgroups: str, mounts: str) -> Path | None:
    """Return where our cgroup of version 2 is mounted, by the texts of /proc/self/cgroup and /proc/self/mountinfo."""
    name = next((line[3:] for line in cgroups.splitlines() if line.startswith("0::")), None)
    for line in mounts.splitlines() if name else ():
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        if after.startswith("cgroup2 ") and Path(name or "").is_relative_to(root):
            return Path(point) / Path(name or "").relative_to(root)
    return None
