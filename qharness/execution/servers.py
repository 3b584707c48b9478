"""Processes that stay: a language's compiler, and its runner of programs that the compiler has found harmless.

Compiling runs none of a program's code, so programs may share the process; so may programs that can neither see nor
change anything of one another. Every other program gets a fresh process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from qharness.errors import SandboxError
from qharness.execution.jail.process_tree import patience
from qharness.execution.process import dispose, encoded, kill, start
from qharness.types import Outcome, Program, Status

_STARTING_SECONDS = 60.0
_LONGEST_ANSWER = 64 << 20
_LOOK_EVERY = 0.25  # seconds between looks at how busy the machine is
_MOST_ANSWERS = 5000  # after which a process is replaced, for what it may have leaked
_OWN_VERDICTS = (Status.PASSED, Status.FAILED, Status.ERROR)
_LAST_VERDICTS = (Status.TIMEOUT, Status.OUTPUT_LIMIT)
STOPPED = Outcome(Status.ERROR, "stopped")


class Server:
    """A sandboxed process that reads lines and answers with one; started when first needed, and again when it died."""

    def __init__(self, name: str, argv: Sequence[str], seconds: float) -> None:
        """`seconds`: the wall seconds that one answer may take, more on a busy machine."""
        self._name = name
        self._argv = argv
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = 0
        self.seconds = seconds
        self.stopped = False

    def ask(self, *fields: str) -> str:
        """The answer to one request, a line a field.

        Raises TimeoutError where the process took too long, EOFError where it died or rambled: it is ended then, and
        the next request gets another. Raises SandboxError if none can be started.
        """
        if self._answered >= _MOST_ANSWERS:
            self.close()
        if self._process is None:
            self._process, self._answered = self._started(), 0
        self._answered += 1
        assert self._process.stdin
        try:
            if self.stopped:
                raise EOFError
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write("\n".join(fields).encode() + b"\n")
                self._process.stdin.flush()
            return _line(self._process, self.seconds).decode("utf-8", "replace").strip()
        except (TimeoutError, EOFError):
            self.close()
            raise

    def _started(self) -> subprocess.Popen[bytes]:
        """A process that has said it is ready; raise SandboxError with its last words if it does not."""
        with tempfile.TemporaryFile() as words:
            process = start(self._argv, stderr=words.fileno())
            with contextlib.suppress(TimeoutError, EOFError):
                if _line(process, _STARTING_SECONDS) == b"ready\n":
                    return process
            if self.stopped:
                return process
            dispose(process)
            words.seek(0)
            said = words.read().decode("utf-8", "replace").strip().splitlines()
        raise SandboxError(f"the {self._name} did not start in the sandbox: {said[-1] if said else 'no message'}")

    def kill(self) -> None:
        """Stop a request that is going on, and begin no other; any thread may call this."""
        self.stopped = True
        if self._process is not None:
            kill(self._process)

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            dispose(process)


@dataclass(frozen=True)
class Compiled:
    """A compiled program, as text for the harness, and whether it may share a process with others."""

    classes: str
    harmless: bool


def compile_program(compiler: Server, program: Program) -> Compiled | Outcome:
    """The compiled program, or how compiling it failed.

    A compiler that dies is started again and gets the program once more: it may have died of an earlier one.
    Raises SandboxError if none can be started.
    """
    begun = time.monotonic()
    outcome = Outcome(Status.COMPILE_ERROR, "the compiler died of it")
    for _ in range(2):
        try:
            kind, _, rest = compiler.ask(
                program.entry_class, encoded(program.source), encoded(program.tests)
            ).partition(" ")
        except (TimeoutError, EOFError) as error:
            if compiler.stopped:
                return STOPPED
            if isinstance(error, TimeoutError):
                outcome = Outcome(Status.TIMEOUT, f"{compiler.seconds:g} s of compiling")
            continue
        if kind == "ok":
            where, _, classes = rest.partition(" ")
            return Compiled(classes, where == "shared")
        outcome = Outcome(Status.COMPILE_ERROR, rest[:300])
        break
    return dataclasses.replace(outcome, seconds=round(time.monotonic() - begun, 4))


def run_shared(runner: Server, entry_class: str, classes: str) -> Outcome | None:
    """A harmless program's verdict; None if only a fresh process can tell. Raises SandboxError if none can be started.

    A runner that died may have died of an earlier program, or of this one's appetite for memory: so it is no verdict.
    """
    begun = time.monotonic()
    try:
        status, _, detail = runner.ask(entry_class, classes).partition(" ")
    except TimeoutError:
        status, detail = Status.TIMEOUT, f"{runner.seconds:g} s of wall time"
    except EOFError:
        return STOPPED if runner.stopped else None
    if status not in _OWN_VERDICTS:
        runner.close()
    if status not in (*_OWN_VERDICTS, *_LAST_VERDICTS):
        return None
    return Outcome(Status(status), detail, round(time.monotonic() - begun, 4))


def _line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """The next line of a process's output; raise TimeoutError if it takes longer, EOFError if it ends or rambles.

    A second in which the machine is busy counts for as much less, and one in which all stood still for none.
    """
    assert process.stdout
    looked, spent, line = time.monotonic(), 0.0, b""
    while not line.endswith(b"\n"):
        while not select.select([process.stdout], [], [], min(max(seconds - spent, 0), _LOOK_EVERY))[0]:
            now = time.monotonic()
            looked, spent = now, spent + min(now - looked, 2 * _LOOK_EVERY) / patience()
            if spent >= seconds:
                raise TimeoutError
        chunk = os.read(process.stdout.fileno(), 1 << 16)
        line += chunk
        if not chunk or len(line) > _LONGEST_ANSWER:
            raise EOFError
    return line
