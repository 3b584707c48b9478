"""Watches one program's processes to their end or to a limit, and says how they ended. Stdlib only."""

import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

_CHUNK = 1 << 16
_REPORT_BYTES = 1 << 16
_LOOK_EVERY = 0.05  # seconds between looks at what the processes use
_MOST_PATIENCE = 20.0
_WANTED = 0.25  # of its share of the processors: what used less did not want more, and is not waited for
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PROC = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY) if os.path.isdir("/proc") else -1  # noqa: PTH112
"""A descriptor, for /proc is to be hidden from programs; -1 on systems that have none: nothing is watched there."""

Limits = dict[str, float]


@dataclass
class Ending:
    """What is left of a program: its exit status, what it reported and printed, and why it was killed, if it was."""

    report: bytearray = field(default_factory=bytearray)
    output: bytearray = field(default_factory=bytearray)
    killed: str = ""
    detail: str = ""
    exit_status: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    left: bool = False  # its checker was done first, so that it was killed


class Pipes(NamedTuple):
    """Our ends: of what the program reports and prints, and of what it is given.

    `over`: where its checker says that it has a verdict; then the program is killed. It is not closed here.
    """

    report: int
    output: int
    feed: int
    over: int = -1


def supervise(pid: int, pipes: Pipes, payload: bytes, limits: Limits, kill: Callable[[], None]) -> Ending:
    """Feed the child `pid` and drain what it prints until it has ended. `kill` ends it with all that it started.

    What it reports is read now and then: what the harness has to say fits into the pipe.
    """
    start, ending = time.monotonic(), Ending()
    ended = [os.pidfd_open(pid)] if hasattr(os, "pidfd_open") else []  # Linux has it; elsewhere, looks will do
    checked = [pipes.over] if pipes.over >= 0 else []
    reading, writing = [*ended, pipes.output, *checked], [pipes.feed]
    for descriptor in pipes[:3]:
        os.set_blocking(descriptor, False)
    status, cap, over = -1, int(limits["output_bytes"]), False
    while status < 0 and not ending.killed and not over:
        if writing and not (payload := _fed(pipes.feed, payload)):
            os.close(writing.pop())
        ready = [each for some in select.select(reading, writing, (), _LOOK_EVERY) for each in some]
        over = pipes.over in ready
        if not ended or ended[0] in ready:
            status = _status(pid, ending, os.WNOHANG)
        if pipes.output in ready and not _drained(pipes.output, ending.output, cap):
            reading.remove(pipes.output)
        if len(ending.output) > cap:
            ending.killed, ending.detail = "output-limit", f"more than {cap} bytes"
        elif status < 0 and time.monotonic() - start > _LOOK_EVERY:
            _drained(pipes.report, ending.report, _REPORT_BYTES)
            _hold_to_limits(pid, time.monotonic() - start, limits, ending)
    if status < 0:
        ending.left = over
        kill()
        status = _status(pid, ending, 0)
    while not ending.killed and len(ending.output) <= cap and _drained(pipes.output, ending.output, cap):
        pass
    _drained(pipes.report, ending.report, _REPORT_BYTES)
    for descriptor in (*ended, pipes.report, pipes.output, *writing):
        os.close(descriptor)
    ending.exit_status = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    ending.seconds = time.monotonic() - start
    return ending


def _status(pid: int, ending: Ending, options: int) -> int:
    """The wait status of a child that has ended, reaped, and its CPU time noted; -1 of one that has not."""
    done, status, used = os.wait4(pid, options)
    if not done:
        return -1
    ending.cpu_seconds = used.ru_utime + used.ru_stime
    return status


def _fed(descriptor: int, payload: bytes) -> bytes:
    """Write what the pipe takes, and return what is left; nothing once the reader has gone."""
    try:
        return payload[os.write(descriptor, payload[:_CHUNK]) :]
    except BlockingIOError:
        return payload
    except BrokenPipeError:
        return b""


def _drained(descriptor: int, buffer: bytearray, size: int) -> bool:
    """Read what is there; False at its end, or where no more comes for now."""
    try:
        chunk = os.read(descriptor, min(size + 1, _CHUNK))
    except BlockingIOError:
        return False
    buffer += chunk
    return bool(chunk)


def _hold_to_limits(pid: int, elapsed: float, limits: Limits, ending: Ending) -> None:
    """What no limit of the kernel's holds: the whole tree's CPU time and memory, and wall time."""
    cpu, resident = usage(pid)
    wall = limits["wall_seconds"]
    if len(ending.report) > _REPORT_BYTES:
        ending.killed, ending.detail = "output-limit", f"more than {_REPORT_BYTES} bytes of report"
    elif cpu > limits["cpu_seconds"] + 1:
        ending.killed, ending.detail = "timeout", f"{limits['cpu_seconds']:g} s of CPU time"
    elif resident > limits["resident_bytes"]:
        ending.killed, ending.detail = "out-of-memory", f"more than {limits['resident_bytes']:g} bytes in all"
    elif elapsed > wall and (elapsed > wall * (stretch := patience()) or cpu < _WANTED * elapsed / stretch):
        ending.killed, ending.detail = "timeout", f"{wall:g} s of wall time"


def patience() -> float:
    """By how much the wall limit is stretched: by the processes that want to run, over the processors there are."""
    if _PROC < 0:
        return 1.0
    words = _of_proc("loadavg").split()
    wanting = max(float(words[0]), float(words[3].partition(b"/")[0]) - 1)
    return min(max(wanting / (os.cpu_count() or 1), 1.0), _MOST_PATIENCE)


def usage(root: int) -> tuple[float, int]:
    """(seconds of CPU time, resident bytes) of a process and all its descendants that live."""
    if _PROC < 0:
        return 0.0, 0
    parents: dict[int, int] = {}
    used: dict[int, tuple[float, int]] = {}
    for name in os.listdir(_PROC):  # noqa: PTH208 - pathlib knows no descriptors
        if name.isdigit():
            try:
                words = _of_proc(f"{name}/stat").rpartition(b")")[2].split()
            except OSError:  # it ended meanwhile
                continue
            parents[int(name)] = int(words[1])
            used[int(name)] = sum(map(int, words[11:15])) / _TICKS, int(words[21]) * _PAGE
    tree, found = {root}, {root}
    while found:
        found = {pid for pid, parent in parents.items() if parent in found} - tree
        tree |= found
    own = [used[pid] for pid in tree if pid in used]
    return sum(cpu for cpu, _ in own), sum(resident for _, resident in own)


def _of_proc(name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY, dir_fd=_PROC)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
