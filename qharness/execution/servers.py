"""Long-lived processes: a language's compiler, and its runners of programs that the compiler has found harmless.

Compiling runs none of a program's code, so programs may share the compiler. Programs that can neither see nor change
anything of one another may share a runner. Every other program gets a fresh process. Only a pass is trusted from a
process that has served many programs: any other verdict is checked again in a process that can be trusted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import select
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from qharness.api.languages import Outcome, Program, Status
from qharness.errors import SandboxError
from qharness.execution.cgroups import Cgroup
from qharness.execution.jail.process_tree import patience
from qharness.execution.process import dispose, encoded, kill, start

_STARTING_SECONDS = 60.0
_LONGEST_ANSWER = 64 << 20
_LOOK_EVERY = 0.25  # seconds between looks at how busy the machine is
_MOST_ANSWERS = 5000  # after which a process is replaced, for what it may have leaked
_OWN_VERDICTS = (Status.PASSED, Status.FAILED, Status.ERROR)
STOPPED = Outcome(Status.ERROR, "stopped")


class StrayLineError(EOFError):
    """A process has written a line that does not answer the request."""


@dataclass(frozen=True)
class Answer:
    """An answer of a compiler or runner. `fit`: the process can go on; if not, it has been ended."""

    kind: str
    rest: str
    fit: bool


class Server:
    """A sandboxed process that answers requests with one line each; started when needed, and again when it died."""

    def __init__(self, name: str, argv: Sequence[str], seconds: float, *, counted: bool = False) -> None:
        """`seconds`: the wall time that one answer may take, in seconds, more on a busy machine.

        `counted`: each of its processes gets a cgroup of its own, where we may make one.
        """
        self._name = name
        self._argv, self._counted = argv, counted
        self._cgroup: Cgroup | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._answered = 0
        self.seconds = seconds
        self.stopped = False
        self.lock = threading.Lock()
        """A thread holds it while it asks, where several threads may ask."""

    def ask(self, *fields: str) -> str:
        """Send one request, one line per field, and return the answer.

        Raises TimeoutError where the process took too long, EOFError where it died or wrote too much: it is ended
        then, and the next request starts another. Raises SandboxError if none can be started.
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

    @property
    def unused(self) -> bool:
        """Whether the next request will be the first of its process."""
        return self._process is None or self._answered == 0 or self._answered >= _MOST_ANSWERS

    def answer(self, *fields: str) -> Answer:
        """Send one request with a random word, and return the answer, which repeats that word; raise as `ask` does.

        Where the word is missing, end the process, whose later lines cannot be trusted, and raise StrayLineError.
        """
        word = secrets.token_hex(8)
        said = self.ask(word, *fields).split(" ", 3)
        if len(said) < 3 or said[0] != word or said[1] not in ("fit", "worn"):
            self.close()
            raise StrayLineError
        if said[1] == "worn":
            self.close()
        return Answer(said[2], " ".join(said[3:]), said[1] == "fit")

    def _started(self) -> subprocess.Popen[bytes]:
        """Start a process and wait until it writes `ready`; raise SandboxError with its last words if it does not."""
        self._cgroup = Cgroup.make() if self._counted else None
        argv = self._cgroup.entering(self._argv) if self._cgroup else self._argv
        with tempfile.TemporaryFile() as words:
            process = start(argv, stderr=words.fileno())
            with contextlib.suppress(TimeoutError, EOFError):
                if _line(process, _STARTING_SECONDS) == b"ready\n":
                    return process
            if self.stopped:
                return process
            self._dispose(process)
            words.seek(0)
            said = words.read().decode("utf-8", "replace").strip().splitlines()
        raise SandboxError(f"the {self._name} did not start in the sandbox: {said[-1] if said else 'no message'}")

    def kill(self) -> None:
        """Stop the running request and refuse later ones; any thread may call this."""
        self.stopped = True
        if self._process is not None:
            kill(self._process)

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            self._dispose(process)

    def _dispose(self, process: subprocess.Popen[bytes]) -> None:
        """End a process, and remove its cgroup."""
        dispose(process)
        cgroup, self._cgroup = self._cgroup, None
        if cgroup is not None:
            cgroup.remove()


@dataclass(frozen=True)
class Compiled:
    """A compiled program as text for the harness. `harmless`: it may share a process with others."""

    classes: str
    harmless: bool


def compile_program(compiler: Server, program: Program) -> Compiled | Outcome:
    """Compile a program; return how that failed where it did. Workers may share the compiler.

    A compiler may die, hang or report something odd because of an earlier program: then a new one compiles the program
    again, and its answer is final. Raises SandboxError if none can be started, or a new one gives stray answers.
    """
    with compiler.lock:
        return _compile(compiler, program)


def _compile(compiler: Server, program: Program) -> Compiled | Outcome:
    """Compile a program as `compile_program` says, by a compiler that no other thread is using."""
    begun = time.monotonic()
    fields = (program.entry_class, encoded(program.source), encoded(program.tests))
    final = False
    while not final:
        final = compiler.unused
        try:
            answer = compiler.answer(*fields)
        except (TimeoutError, EOFError) as error:
            if compiler.stopped:
                return STOPPED
            if final and isinstance(error, StrayLineError):
                raise SandboxError("the compiler in the sandbox answers what it was not asked") from None
            late = isinstance(error, TimeoutError)
            outcome = (
                Outcome(Status.TIMEOUT, f"{compiler.seconds:g} s of compiling")
                if late
                else Outcome(Status.COMPILE_ERROR, "the compiler died of it")
            )
            continue
        if answer.kind == "ok":
            where, _, classes = answer.rest.partition(" ")
            return Compiled(classes, where == "shared")
        outcome = Outcome(Status.COMPILE_ERROR, answer.rest[:300])
        final = final or answer.kind == "error"
    return dataclasses.replace(outcome, seconds=round(time.monotonic() - begun, 4))


def run_shared(runner: Server, confirmer: Server, entry_class: str, classes: str) -> Outcome | None:
    """Run a harmless program; return its verdict, or None if it needs a fresh process.

    A pass of the `runner`, which has run many programs, is trusted. Any other program is run again by the `confirmer`,
    which runs only such programs: its verdict counts if it is still fit afterwards. A runner that died or hung gives
    no verdict, because an earlier program or a lack of memory may be the cause. Raises SandboxError if none starts.
    """
    first = _verdict(runner, entry_class, classes)
    if first is None or first[0].passed or runner.stopped:
        return STOPPED if runner.stopped else first and first[0]
    with confirmer.lock:
        second = _verdict(confirmer, entry_class, classes)
    if confirmer.stopped:
        return STOPPED
    if second is not None and second[0].passed:
        runner.close()  # something in it kept a right program from passing
        return second[0]
    return second[0] if second is not None and second[1] else None


def _verdict(runner: Server, entry_class: str, classes: str) -> tuple[Outcome, bool] | None:
    """Return a runner's verdict on a program and whether the runner is still fit; None where it gives no verdict."""
    begun = time.monotonic()
    try:
        answer = runner.answer(entry_class, classes)
    except (TimeoutError, EOFError):
        return None
    if answer.kind not in _OWN_VERDICTS:
        runner.close()
        return None
    return Outcome(Status(answer.kind), answer.rest, round(time.monotonic() - begun, 4)), answer.fit


def _line(process: subprocess.Popen[bytes], seconds: float) -> bytes:
    """Read the next line of a process's output; raise TimeoutError after `seconds`, EOFError if it ends or is too long.

    Time in which the machine is busy counts less, and time in which the machine stood still does not count.
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
