"""Functions that the spawner calls around the programs that it starts, never below one. Stdlib only."""

import contextlib
import fcntl
import os
import signal
import stat
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qharness.execution.jail.supervision import Ending
else:
    from supervision import Ending

_WRITABLE = ("/tmp", "/dev/shm")  # noqa: S108 - the sandbox's own


def read_exactly(descriptor: int, count: int) -> bytes:
    """Read that many bytes and no more; return an empty string if the input ends before."""
    read = b""
    while len(read) < count:
        piece = os.read(descriptor, count - len(read))
        if not piece:
            return b""
        read += piece
    return read


def left_behind() -> list[object]:
    """List the traces that a program can leave in the writable folders: names, modes, owners and attributes."""
    found: list[object] = []
    for folder in _WRITABLE:
        made = os.stat(folder)  # noqa: PTH116
        attributes = os.listxattr(folder) if hasattr(os, "listxattr") else []
        found += [set(os.listdir(folder)), stat.S_IMODE(made.st_mode), made.st_uid, made.st_gid, attributes]  # noqa: PTH208
    return found


def killer(pid: int, config: dict[str, object]) -> Callable[[], None]:
    """Return a function that kills a program with all that it started.

    The kernel kills a pid namespace with its first process; without a namespace, the process group is killed.
    """

    def kill() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL) if config["isolate"] else os.killpg(pid, signal.SIGKILL)

    return kill


def seen(ending: Ending) -> dict[str, object]:
    """Return a program's ending as an answer's JSON has it."""
    return {
        "killed": ending.killed,
        "detail": ending.detail,
        "exit_status": ending.exit_status,
        "seconds": round(ending.seconds, 4),
        "cpu_seconds": ending.cpu_seconds,
        "left": ending.left,
        "last_words": bytes(ending.output[-300:]).decode("utf-8", "replace"),
        "spent": False,
        "checked": False,
    }


def believed(report: bytes, token: str) -> list[list[str]]:
    """Return the words of a report's valid lines: those with the token, and those with a dash that claim no pass."""
    lines = [line.split(" ", 2) for line in report.decode("utf-8", "replace").splitlines()]
    return [
        words[1:]
        for words in lines
        if len(words) > 1 and (words[0] == token or (words[0] == "-" and words[1] != "passed"))
    ]


def become_descriptors(descriptors: Sequence[int]) -> None:
    """Renumber these descriptors to 0, 1, 2 and so on, and close all others."""
    above = [fcntl.fcntl(each, fcntl.F_DUPFD, 64) for each in descriptors]
    for number, each in enumerate(above):
        os.dup2(each, number)
    os.closerange(len(descriptors), 256)
