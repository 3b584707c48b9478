"""What a program's processes use, and how busy the machine is beside them, as /proc tells. Stdlib only.

Each look reads the processes that live. CPU time of those that ended between two looks is not lost: a process counts by
what it was last seen to have used, and what a parent got by waiting for its children counts beyond that. The sum never
exceeds what was used. It lacks only the time of processes that nobody waits for (whose parent ignores SIGCHLD), since
they were last seen: of those too short-lived to be seen, all of it. `Look.running` bounds these: it is how many
processors the program's threads occupied at an instant that the program cannot foresee, and so a fair sample.
"""

import os
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PROC = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY) if os.path.isdir("/proc") else -1  # noqa: PTH112
"""A descriptor, for /proc is to be hidden from programs; -1 on systems that have none: nothing is watched there."""
_CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_MOST_PATIENCE = 20.0
_WANTING = (b"R", b"D")  # runs or waits for a processor; waits for a disk

Key = tuple[int, int]
"""A process: its pid, and when it started, for pids come again."""


class _Process(NamedTuple):
    """A row of /proc: times in clock ticks, `waited` being that of the children it has waited for."""

    pid: int
    state: bytes
    parent: int
    session: int
    own: int
    waited: int
    threads: int
    started: int
    resident: int


class Look(NamedTuple):
    """What a program used until now, and what it wants at this instant.

    `wants`: whether any thread of it runs, waits for a processor or for a disk: if none does, the program sleeps.
    `running`: the processors that its threads have, at a fair share. `stretch`: how many times longer the rest of the
    machine makes a program that needs one processor.
    """

    cpu_seconds: float
    resident_bytes: int
    wants: bool
    running: float
    stretch: float


class ProcessTree:
    """A process and all that descend from it, whoever has adopted them since; and its checker's.

    The `checker`, where there is one, serves many programs: what it used before the first look is not this one's.
    """

    def __init__(self, root: int, checker: int = 0) -> None:
        self._root, self._checker = root, checker
        self._before: int | None = None  # ticks
        self._seen: dict[Key, _Process] = {}
        self._ended = 0  # ticks of processes that have ended, as they were last seen
        self._waited = 0  # ticks that parents got by waiting, beyond what had been seen of the children

    def look(self) -> Look:
        """Read what the processes are doing now."""
        if _PROC < 0:
            return Look(0.0, 0, False, 0.0, 1.0)
        busy = _runnable()
        living = self._living()
        if self._before is None:
            self._before = sum(each.own for each in living.values() if each.pid == self._checker)
        self._count(living)
        states = [state for process in living.values() for state in _states(process)]
        runnable = states.count(b"R")
        others = max(busy - runnable, 0)
        return Look(
            cpu_seconds=(sum(each.own for each in living.values()) + self._ended + self._waited - self._before)
            / _TICKS,
            resident_bytes=sum(each.resident for each in living.values()) * _PAGE,
            wants=any(state in _WANTING for state in states),
            running=runnable * min(1.0, _CPUS / max(others + runnable, 1)),
            stretch=_stretch(others),
        )

    def _living(self) -> dict[Key, _Process]:
        """The program's processes that there are, be they zombies.

        A process is the program's if its parent is, or if it was so before; or if it is of the root's session, which
        tells where no pid namespace hands orphans to the root.
        """
        rows = {process.pid: process for process in _processes()}
        mine = {pid for pid, row in rows.items() if (pid, row.started) in self._seen or row.session == self._root}
        found = mine = mine | ({self._root, self._checker} & rows.keys())
        while found:
            found = {pid for pid, row in rows.items() if row.parent in found} - mine
            mine = mine | found
        return {(pid, rows[pid].started): rows[pid] for pid in mine}

    def _count(self, living: dict[Key, _Process]) -> None:
        """Add up what has ended since the last look: twice seen is counted once."""
        gained = sum(now.waited - (self._seen[key].waited if key in self._seen else 0) for key, now in living.items())
        gone = [last for key, last in self._seen.items() if key not in living]
        self._waited += max(gained - sum(last.own + last.waited for last in gone), 0)
        self._ended += sum(last.own for last in gone)
        self._seen = living


def patience() -> float:
    """How many times longer than on an idle machine a process that needs one processor takes now, this one aside.

    By the threads of the machine that run or want to at this instant, over the processors there are; 20 at most.
    """
    return _stretch(max(_runnable() - 1, 0)) if _PROC >= 0 else 1.0


def _stretch(others: int) -> float:
    return min(max((others + 1) / _CPUS, 1.0), _MOST_PATIENCE)


def _runnable() -> int:
    """The machine's threads that run or want to, less this one."""
    return int(_read("loadavg").split()[3].partition(b"/")[0]) - 1


def _processes() -> list[_Process]:
    found = []
    for name in os.listdir(_PROC):  # noqa: PTH208 - pathlib knows no descriptors
        if name.isdigit():
            try:
                words = _read(f"{name}/stat").rpartition(b")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            state, (parent, _, session), times = words[0], map(int, words[1:4]), [int(word) for word in words[11:15]]
            threads, started, resident = int(words[17]), int(words[19]), int(words[21])
            own, waited = sum(times[:2]), sum(times[2:])
            found.append(_Process(int(name), state, parent, session, own, waited, threads, started, resident))
    return found


def _states(process: _Process) -> list[bytes]:
    """What each thread does: the process's own row tells only of its first."""
    if process.threads <= 1:
        return [process.state]
    try:
        folder = os.open(f"{process.pid}/task", os.O_RDONLY | os.O_DIRECTORY, dir_fd=_PROC)
    except OSError:
        return []
    states = []
    try:
        for thread in os.listdir(folder):  # noqa: PTH208
            try:
                states.append(_read(f"{thread}/stat", folder).rpartition(b")")[2].split(maxsplit=1)[0])
            except OSError:
                continue
    finally:
        os.close(folder)
    return states


def _read(name: str, folder: int = _PROC) -> bytes:
    descriptor = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
