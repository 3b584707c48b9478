"""A language's compiler, kept warm: one sandboxed process that compiles a worker's programs, one after the other.

Compiling runs none of a program's code, so programs may share the process; running one gets a fresh process each time.
"""

from __future__ import annotations

import dataclasses
import os
import select
import subprocess
import tempfile
import time

from qharness.errors import SandboxError
from qharness.execution.process import dispose, encoded, kill, start
from qharness.execution.sandbox import Isolation
from qharness.types import Limits, Outcome, Program, Status, Toolchain

_NO_CPU_LIMIT = 1 << 30  # seconds; each compilation is held to the wall limit instead
_STARTING_SECONDS = 60.0
_LONGEST_ANSWER = 64 << 20


class CompileServer:
    """Starts the compiler when it is first needed, and again after a program that broke it."""

    def __init__(self, command: tuple[str, ...], toolchain: Toolchain, isolation: Isolation, limits: Limits) -> None:
        self._toolchain = dataclasses.replace(toolchain, command=command)
        self._isolation = isolation
        self._limits = dataclasses.replace(limits, cpu_seconds=_NO_CPU_LIMIT)
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def compile(self, program: Program) -> str | Outcome:
        """The compiled program as one line for the harness, or how compiling it failed.

        A compiler that dies is started again and gets the program once more: it may have died of an earlier one.
        Raises SandboxError if none can be started.
        """
        begun = time.monotonic()
        for _ in range(2):
            answer = self._ask(program)
            if self._stopped:
                return Outcome(Status.ERROR, "stopped")
            if answer is None:
                self.close()
                continue
            kind, _, rest = answer.decode("utf-8", "replace").strip().partition(" ")
            if kind == "ok":
                return rest
            return Outcome(Status.COMPILE_ERROR, rest[:300], round(time.monotonic() - begun, 4))
        seconds = round(time.monotonic() - begun, 4)
        if seconds >= self._limits.wall_seconds:
            return Outcome(Status.TIMEOUT, f"{self._limits.wall_seconds:g} s of compiling", seconds)
        return Outcome(Status.COMPILE_ERROR, "the compiler died of it", seconds)

    def _ask(self, program: Program) -> bytes | None:
        """One answer line; None if the compiler died, hung or rambled."""
        if self._process is None:
            self._process = self._started()
        assert self._process.stdin
        fields = (program.entry_class, encoded(program.source), encoded(program.tests))
        try:
            self._process.stdin.write("\n".join(fields).encode() + b"\n")
            self._process.stdin.flush()
            return _line(self._process, self._limits.wall_seconds)
        except OSError:
            return None

    def _started(self) -> subprocess.Popen[bytes]:
        """A compiler that has said it is ready; raise SandboxError with its last words if it does not."""
        with tempfile.TemporaryFile() as words:
            process = start(self._isolation.argv(self._toolchain, self._limits), stderr=words.fileno())
            if _line(process, _STARTING_SECONDS) == b"ready\n" or self._stopped:
                return process
            dispose(process)
            words.seek(0)
            said = words.read().decode("utf-8", "replace").strip().splitlines()
        raise SandboxError(f"the compiler did not start in the sandbox: {said[-1] if said else 'no message'}")

    def kill(self) -> None:
        """Stop a compilation that is going on, and begin no other; any thread may call this."""
        self._stopped = True
        if self._process is not None:
            kill(self._process)

    def close(self) -> None:
        """End the compiler."""
        process, self._process = self._process, None
        if process is not None:
            dispose(process)


def _line(process: subprocess.Popen[bytes], seconds: float) -> bytes | None:
    """The next line of a process's output; None if it ends, takes longer or writes too much."""
    assert process.stdout
    deadline = time.monotonic() + seconds
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(deadline - time.monotonic(), 0))
        chunk = os.read(process.stdout.fileno(), 1 << 16) if ready else b""
        line += chunk
        if not chunk or len(line) > _LONGEST_ANSWER:
            return None
    return line
