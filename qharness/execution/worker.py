"""One worker: runs programs of one language, and judges how each ended."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from qharness.errors import SandboxError
from qharness.execution.jail.messages import SEPARATOR, header, new_nonce
from qharness.execution.process import encoded
from qharness.execution.sandbox import Isolation
from qharness.execution.servers import STOPPED, Server, compile_program, run_shared
from qharness.execution.toolchains import find_toolchain
from qharness.types import Language, Limits, Outcome, Program, Status

_CPU_SHARE = 0.9  # of the CPU limit in wall time: the kernel counts by another clock, and may kill a little early
_GONE, _REACH_IN = "gone", "reach-in"  # a checker's words for: the program ended, the tests need its own process
_CLEANING_UP = 10.0  # seconds beyond every limit, after which a spawner that has not answered hangs


class SandboxWorker:
    """Runs programs of one language. One thread at a time.

    Its processes stay: the spawner, which gives each program a process and namespaces of its own; the compiler, if the
    language has one; and the runner of programs that the compiler has found harmless.
    """

    def __init__(
        self, language: Language, isolation: Isolation, limits: Limits | None = None, packages: Sequence[str] = ()
    ) -> None:
        """`packages`: what its programs may import besides the standard library."""
        self._limits = limits = limits or language.limits
        toolchain = find_toolchain(language, packages, limits)
        self._checked = bool(toolchain.harness)

        def server(name: str, command: tuple[str, ...]) -> Server | None:
            argv = isolation.serving(command, toolchain.readable, limits)
            return Server(name, argv, limits.wall_seconds) if command else None

        self._compiler, self._runner = server("compiler", toolchain.compiler), server("runner", toolchain.runner)
        self._spawner = Server("sandbox", isolation.spawning(toolchain, limits), limits.wall_seconds + _CLEANING_UP)
        self._servers = [each for each in (self._compiler, self._runner, self._spawner) if each]

    def run(self, program: Program) -> Outcome:
        """Compile and run `program` to its end or to a limit. Raises SandboxError if it could not be started at all."""
        if self._checked:
            return self._check(program)
        if self._compiler is None:
            return self._run(program.entry_class, encoded(program.source), encoded(program.tests))
        compiled = compile_program(self._compiler, program)
        if isinstance(compiled, Outcome):
            return compiled
        if compiled.harmless and self._runner is not None:
            outcome = run_shared(self._runner, program.entry_class, compiled.classes)
            if outcome is not None:
                return outcome
        return self._run(program.entry_class, compiled.classes)

    def _check(self, program: Program) -> Outcome:
        """The verdict of the program's checker; of the program's own process, where the tests turn out to need that."""
        for in_process in (False, True):
            job = {"source": program.source, "tests": program.tests, "in_process": in_process}
            said, ending = self._spawned(json.dumps(job))
            if ending is None:
                return STOPPED
            verdict = json.loads(said) if said else None
            if verdict is None or verdict[1] != _REACH_IN:
                break
        return _judge_checked(verdict and Verdict(*verdict[1:]), ending, self._limits)

    def _run(self, *fields: str) -> Outcome:
        """Have the command spawned."""
        _, ending = self._spawned(json.dumps({"fields": fields}))
        return STOPPED if ending is None else _judge(ending, self._limits)

    def _spawned(self, payload: str) -> tuple[str, dict[str, object] | None]:
        """(what the checker said, how the program ended): once more where the spawner did not live to tell.

        No ending where the worker is to stop. Raises SandboxError where the spawner fails twice.
        """
        for _ in range(2):
            nonce = new_nonce()
            try:
                said, separator, seen = self._spawner.ask(header(payload, nonce), payload).rpartition(SEPARATOR)
                signed, _, ending = seen.partition(" ")
                if signed == nonce and (not separator or json.loads(said)[0] == nonce):
                    document: dict[str, object] = json.loads(ending)
                    if document["last"]:  # there are files of this program's, which the next is not to see
                        self._spawner.close()
                    return said, document
            except (EOFError, TimeoutError, ValueError):
                if self._spawner.stopped:
                    return "", None
            self._spawner.close()
        raise SandboxError("the sandbox's spawner died, or answered nonsense, twice in a row")

    def kill(self) -> None:
        """Kill what runs, with everything it started; any thread may call this."""
        for server in self._servers:
            server.kill()

    def close(self) -> None:
        """End the worker's own processes."""
        for server in self._servers:
            server.close()


@dataclass(frozen=True)
class Verdict:
    """What a checker says; `exit_status` and `cpu_seconds` are the program's, where that is `gone`."""

    status: str
    detail: str
    in_process: bool
    exit_status: int
    cpu_seconds: float


def _judge_checked(verdict: Verdict | None, ending: dict[str, object], limits: Limits) -> Outcome:
    """The verdict on a program that had a checker: the limits' before the checker's."""
    seconds = ending["seconds"]
    assert isinstance(seconds, float)
    if verdict is None or ending["killed"]:
        return _killed(ending, limits, seconds)
    if verdict.status == _GONE:
        outcome = _left(verdict.exit_status, verdict.cpu_seconds, limits, seconds)
    else:
        outcome = Outcome(Status(verdict.status), verdict.detail, seconds)
    return dataclasses.replace(outcome, in_process=verdict.in_process)


def _killed(ending: dict[str, object], limits: Limits, seconds: float) -> Outcome:
    """The verdict on a program that was killed, or whose checker was."""
    if ending["killed"]:
        return Outcome(Status(str(ending["killed"])), str(ending["detail"]), seconds)
    exit_status = ending["exit_status"]
    assert isinstance(exit_status, int)
    return _left(exit_status, seconds, limits, seconds)


def _left(exit_status: int, cpu_seconds: float, limits: Limits, seconds: float) -> Outcome:
    """The verdict on a process that ended by itself before the tests did, or by a signal."""
    if exit_status > 128:
        received = exit_status - 128
        if received == signal.SIGXCPU or (received == signal.SIGKILL and cpu_seconds >= _CPU_SHARE * limits.cpu_seconds):
            return Outcome(Status.TIMEOUT, f"{limits.cpu_seconds} s of CPU time", seconds)
        return Outcome(Status.ERROR, f"killed by signal {received}", seconds)
    return Outcome(Status.EARLY_EXIT, f"exit status {exit_status} before the tests' end", seconds)


def _judge(ending: dict[str, object], limits: Limits) -> Outcome:
    """The verdict on a program that a command has run: its `report` holds the lines that count, no others.

    Raises SandboxError where the command has not said that it started.
    """
    report, exit_status, seconds = ending["report"], ending["exit_status"], ending["seconds"]
    assert isinstance(report, list) and isinstance(exit_status, int) and isinstance(seconds, float)
    if not ending["killed"] and not report:
        said = str(ending["last_words"]).strip().splitlines()
        raise SandboxError(
            f"the sandbox did not start (exit status {exit_status}): {said[-1] if said else 'no message'}"
        )
    verdicts = [words for words in report if words[0] in set(Status)]
    passes = [words for words in verdicts if words[0] == Status.PASSED]  # only the harness can claim one
    if not ending["killed"]:
        for status, *detail in (passes or verdicts)[:1]:
            return Outcome(Status(status), detail[0] if detail else "", seconds, in_process=True)
    return dataclasses.replace(_killed(ending, limits, seconds), in_process=True)
