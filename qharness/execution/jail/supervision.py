"""Watches one program's processes to their end or to a limit. Stdlib only."""

import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from qharness.execution.jail.process_tree import Look, ProcessTree, is_exiting
else:
    from process_tree import Look, ProcessTree, is_exiting

_CHUNK = 1 << 16
_REPORT_BYTES = 1 << 16
_LOOK_EVERY = (0.03, 0.07)  # seconds between two looks, at random, so that no process can hide from them
_LONGEST_LOOK = 0.25  # seconds: more time between two looks is the machine's delay and is not counted
_ABSOLUTE = 3.0  # times the limits: there a program is ended, however little of its use the looks have seen

Limits = dict[str, float]


@dataclass
class Ending:
    """The end of a program: its exit status, report and output, and the limit it was killed at, if it was.

    `cpu_seconds`: of its first process, with the children that it waited for.
    """

    report: bytearray = field(default_factory=bytearray)
    output: bytearray = field(default_factory=bytearray)
    killed: str = ""
    detail: str = ""
    exit_status: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    left: bool = False  # it was killed because its checker had a verdict


class Pipes(NamedTuple):
    """Our ends of the pipes: the program's report, its output, and its input.

    `over`: the descriptor on which the process `checker` announces its verdict; then the program is killed. It is not
    closed here. `counted`: as a ProcessTree has it.
    """

    report: int
    output: int
    feed: int
    over: int = -1
    checker: int = 0
    counted: bool = False


def supervise(pid: int, pipes: Pipes, payload: bytes, limits: Limits, kill: Callable[[], None]) -> Ending:
    """Feed the child `pid` and read its output until it has ended. `kill` ends it with all that it started.

    Its report is read at each look: what a harness writes between two looks fits into the pipe.
    """
    start, ending = time.monotonic(), Ending()
    watch = _Watch(ProcessTree(pid, pipes.checker, counted=pipes.counted), limits, start)
    ended = [os.pidfd_open(pid)] if hasattr(os, "pidfd_open") else []  # Linux has it; elsewhere, looks will do
    checked = [pipes.over] if pipes.over >= 0 else []
    reading, writing = [*ended, pipes.output, *checked], [pipes.feed]
    for descriptor in pipes[:3]:
        os.set_blocking(descriptor, False)
    reaped, cap, over = False, int(limits["output_bytes"]), False
    while not reaped and not ending.killed and not over:
        if writing and not (payload := _fed(pipes.feed, payload)):
            os.close(writing.pop())
        ready = [each for some in select.select(reading, writing, (), watch.left()) for each in some]
        over = pipes.over in ready
        reaped = (not ended or ended[0] in ready) and _reap(pid, os.WNOHANG, ending)
        if pipes.output in ready and not _drained(pipes.output, ending.output, cap):
            reading.remove(pipes.output)
        if len(ending.output) > cap:
            ending.killed, ending.detail = "output-limit", f"more than {cap} bytes"
        elif not reaped and watch.left() == 0:
            _drained(pipes.report, ending.report, _REPORT_BYTES)
            if len(ending.report) > _REPORT_BYTES:
                ending.killed, ending.detail = "output-limit", f"more than {_REPORT_BYTES} bytes of report"
            else:
                ending.killed, ending.detail = watch.look()
    if not reaped:
        ending.left = over and not is_exiting(pid)  # its end is what the checker saw then
        kill()
        _reap(pid, 0, ending)
    while not ending.killed and len(ending.output) <= cap and _drained(pipes.output, ending.output, cap):
        pass
    _drained(pipes.report, ending.report, _REPORT_BYTES)
    for descriptor in (*ended, pipes.report, pipes.output, *writing):
        os.close(descriptor)
    ending.seconds = time.monotonic() - start
    return ending


class _Watch:
    """Enforces limits that the kernel does not have: the whole tree's CPU time and memory, and the time it sleeps.

    The limit on wall time counts the time in which the program sleeps, not the time in which it waits for a processor.
    Use that the looks miss is bounded by three times the limits: of CPU time, by the processors that the program was
    found on; of wall time, by its fair share of the machine.
    """

    def __init__(self, tree: ProcessTree, limits: Limits, now: float) -> None:
        self._tree, self._limits = tree, limits
        self._looked, self._due = now, now + _LOOK_EVERY[1]
        self._asleep = self._running = self._fair = 0.0

    def left(self) -> float:
        """Return the seconds until the next look."""
        return max(self._due - time.monotonic(), 0.0)

    def look(self) -> tuple[str, str]:
        """Return (status, limit) of a program that has reached a limit, else two empty strings."""
        found = self._tree.look()
        now = time.monotonic()
        self._count(min(now - self._looked, _LONGEST_LOOK), found)
        least, most = _LOOK_EVERY
        self._looked, self._due = now, now + least + (most - least) * os.urandom(1)[0] / 255
        cpu, wall, memory = (self._limits[name] for name in ("cpu_seconds", "wall_seconds", "resident_bytes"))
        if found.cpu_seconds > cpu or self._running > _ABSOLUTE * cpu:
            return "timeout", f"{cpu:g} s of CPU time"
        if found.resident_bytes > memory:
            return "out-of-memory", f"more than {memory:g} bytes in all"
        if self._asleep > wall or self._fair > _ABSOLUTE * wall:
            return "timeout", f"{wall:g} s of wall time"
        return "", ""

    def _count(self, seconds: float, found: Look) -> None:
        """Add that much time to the program's sums, by its state in the look."""
        self._asleep += 0.0 if found.wants else seconds
        self._running += seconds * found.running
        self._fair += seconds / found.stretch


def _reap(pid: int, options: int, ending: Ending) -> bool:
    """Reap a child if it has ended, and store its exit status and CPU time, its children's included; return whether."""
    done, status, used = os.wait4(pid, options)
    if done:
        ending.exit_status = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        ending.cpu_seconds = used.ru_utime + used.ru_stime
    return bool(done)


def _fed(descriptor: int, payload: bytes) -> bytes:
    """Write as much as the pipe takes, and return the rest; return nothing once the reader has gone."""
    try:
        return payload[os.write(descriptor, payload[:_CHUNK]) :]
    except BlockingIOError:
        return payload
    except BrokenPipeError:
        return b""


def _drained(descriptor: int, buffer: bytearray, size: int) -> bool:
    """Read the available bytes; return False at the end, or where none are available now."""
    try:
        chunk = os.read(descriptor, min(size + 1, _CHUNK))
    except BlockingIOError:
        return False
    buffer += chunk
    return bool(chunk)
