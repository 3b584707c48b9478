"""Reads from /proc what a program's processes use, and how busy the machine is beside them. Stdlib only.

Each look reads the living processes. CPU time of those that ended between two looks is counted too: a process counts
with the time it was last seen to have used, and beyond that with the time that its parent got by waiting for it. The
sum never exceeds the time used. It misses only the time of processes that nobody waits for (whose parent ignores
SIGCHLD) since they were last seen: all of it where they are too short-lived to be seen. `Look.running` bounds that
time: it is the number of processors that the program's threads occupy at an instant that the program cannot foresee.
Where the spawner and its programs have a cgroup of their own, the kernel's count of it misses nothing.
"""

import os
import time
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PROC = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY) if os.path.isdir("/proc") else -1  # noqa: PTH112
"""A descriptor of /proc, which is hidden from programs later; -1 on systems without /proc, where looks find nothing."""
_CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
CPU_STAT = 9
"""The descriptor of a spawner's cgroup's `cpu.stat`; one digit, for shells know no more."""
_MOST_PATIENCE = 20.0
_MOST_READINGS = 20  # of a program that ends processes faster than these are read
_EXITING = 4  # PF_EXITING among the flags of /proc/PID/stat: set before the descriptors are closed
_WANTING = (b"R", b"D")  # runs or waits for a processor; waits for a disk

Key = tuple[int, int]
"""A process: its pid, and its start time in clock ticks, because pids are reused."""


class _Process(NamedTuple):
    """A process in /proc: times in clock ticks; `waited` is the time of the children that it has waited for."""

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
    """A program's use of the machine until now, and its state at this instant.

    `wants`: whether any thread of it runs, or waits for a processor or a disk; if none does, the program sleeps.
    `running`: the number of processors that its threads have, at a fair share. `stretch`: the factor by which the rest
    of the machine slows down a program that needs one processor.
    """

    cpu_seconds: float
    resident_bytes: int
    wants: bool
    running: float
    stretch: float


class ProcessTree:
    """A process, its descendants, even those that others have adopted, and its checker's processes.

    The `checker`, where there is one, serves many programs: its CPU time before the first look does not
    count, nor does that of its children that are older than the program.

    `counted`: whether this process and all of these, and no others, are in the cgroup whose `cpu.stat` CPU_STAT is.
    """

    def __init__(self, root: int, checker: int = 0, *, counted: bool = False) -> None:
        self._root, self._checker, self._counted = root, checker, counted
        self._counted_before = _used_by_cgroup() if counted else 0.0
        self._before: int | None = None  # ticks
        self._seen: dict[Key, _Process] = {}
        self._ended = 0  # ticks of processes that have ended, as they were last seen
        self._waited = 0  # ticks that parents got by waiting, beyond what had been seen of the children

    def look(self) -> Look:
        """Read the processes' present state from /proc."""
        if _PROC < 0:
            return Look(0.0, 0, False, 0.0, 1.0)
        busy = _runnable()
        living = self._living()
        if self._before is None:
            self._before = sum(each.own + each.waited for each in living.values() if self._is_older(each, living))
        self._count(living)
        states = [state for process in living.values() for state in _states(process)]
        runnable = states.count(b"R")
        others = max(busy - runnable, 0)
        seen = (sum(each.own for each in living.values()) + self._ended + self._waited - self._before) / _TICKS
        return Look(
            cpu_seconds=max(seen, _used_by_cgroup() - self._counted_before) if self._counted else seen,
            resident_bytes=sum(each.resident for each in living.values()) * _PAGE,
            wants=any(state in _WANTING for state in states),
            running=runnable * min(1.0, _CPUS / max(others + runnable, 1)),
            stretch=_stretch(others),
        )

    def _is_older(self, process: _Process, living: dict[Key, _Process]) -> bool:
        """Return whether a process is the checker's, or its child's, and was there before the program."""
        begun = min((each.started for each in living.values() if each.pid == self._root), default=0)
        return process.pid == self._checker or process.started < begun

    def _living(self) -> dict[Key, _Process]:
        """Find the program's processes, zombies among them.

        A process is the program's if its parent is, if it was so in the last look, or if it is in the root's session,
        which finds orphans where no pid namespace makes the root their parent.
        """
        rows = {process.pid: process for process in _processes(os.listdir(_PROC))}  # noqa: PTH208 - pathlib knows no descriptors
        mine = {pid for pid, row in rows.items() if (pid, row.started) in self._seen or row.session == self._root}
        found = mine = mine | ({self._root, self._checker} & rows.keys())
        while found:
            found = {pid for pid, row in rows.items() if row.parent in found} - mine
            mine = mine | found
        return {(row.pid, row.started): row for row in _of_one_instant([rows[pid] for pid in mine])}

    def _count(self, living: dict[Key, _Process]) -> None:
        """Add the time of processes that ended since the last look, without counting any of it twice."""
        gained = sum(now.waited - (self._seen[key].waited if key in self._seen else 0) for key, now in living.items())
        gone = [last for key, last in self._seen.items() if key not in living]
        self._waited += max(gained - sum(last.own + last.waited for last in gone), 0)
        self._ended += sum(last.own for last in gone)
        self._seen = living


def is_counted() -> bool:
    """Return whether this process was given the descriptor CPU_STAT."""
    try:
        return os.pread(CPU_STAT, 10, 0) == b"usage_usec"
    except OSError:
        return False


def _used_by_cgroup() -> float:
    """Read the CPU seconds of all processes that were ever in our cgroup, less this one's."""
    return int(os.pread(CPU_STAT, 64, 0).split()[1]) / 1e6 - time.process_time()


def patience() -> float:
    """Return by which factor the machine's other threads slow down a process that needs one processor, at most 20.

    It is the number of threads that run or are ready to at this instant, over the number of processors.
    """
    return _stretch(max(_runnable() - 1, 0)) if _PROC >= 0 else 1.0


def _stretch(others: int) -> float:
    return min(max((others + 1) / _CPUS, 1.0), _MOST_PATIENCE)


def _runnable() -> int:
    """Count the machine's threads that run or are ready to, without this one."""
    return int(_read("loadavg").split()[3].partition(b"/")[0]) - 1


def is_exiting(pid: int) -> bool:
    """Return whether a process is about to end, whatever it is told now; false where there is no /proc."""
    try:
        return bool(int(_read(f"{pid}/stat").rpartition(b")")[2].split()[6]) & _EXITING)
    except OSError:
        return False


def _of_one_instant(rows: list[_Process]) -> list[_Process]:
    """Read processes again until none has been waited for between two readings.

    Else the time of one that ended meanwhile would stand in its own row and in its parent's, and be counted twice.
    """
    for _ in range(_MOST_READINGS):
        before, rows = rows, _processes([str(row.pid) for row in rows])
        if [(row.pid, row.started, row.waited) for row in rows] == [(o.pid, o.started, o.waited) for o in before]:
            break
    return rows


def _processes(names: list[str]) -> list[_Process]:
    """Read /proc/PID/stat of the processes among these names; skip those that end meanwhile."""
    found = []
    for name in names:
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
    """Return the state of each thread; the process's own row has only that of its first."""
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
