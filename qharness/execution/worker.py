"""One worker: runs programs of one language, and judges how each ended."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Sequence

from qharness.errors import SandboxError
from qharness.execution.process import encoded
from qharness.execution.sandbox import Isolation
from qharness.execution.servers import STOPPED, Server, compile_program, run_shared
from qharness.execution.toolchains import find_toolchain
from qharness.types import Language, Limits, Outcome, Program, Status

_CPU_SHARE = 0.9  # of the CPU limit in wall time: the kernel counts by another clock, and may kill a little early
_SHARED_SHARE = 0.25  # of the wall limit, for a runner of many programs: then a process of the program's own decides
_CLEANING_UP = 10.0  # seconds beyond every limit, after which a spawner that has not answered hangs


class SandboxWorker:
    """Runs programs of one language. One thread at a time.

    Its processes stay: the spawner, which gives each program a process and namespaces of its own; the compiler, if the
    language has one; the runner of programs that the compiler has found harmless, and the one that confirms what it did
    not pass.
    """

    def __init__(
        self, language: Language, isolation: Isolation, limits: Limits | None = None, packages: Sequence[str] = ()
    ) -> None:
        """`packages`: what its programs may import besides the standard library."""
        self._limits = limits = limits or language.limits
        toolchain = find_toolchain(language, packages, limits)
        self._announced = not toolchain.harness  # a command says that it has started, before the program runs

        def server(name: str, command: tuple[str, ...], share: float = 1.0) -> Server | None:
            argv = isolation.serving(command, toolchain.readable, limits)
            return Server(name, argv, limits.wall_seconds * share) if command else None

        self._compiler = server("compiler", toolchain.compiler)
        self._runner = server("runner", toolchain.runner, _SHARED_SHARE)
        self._confirmer = server("confirmer", toolchain.runner, _SHARED_SHARE)
        self._spawner = Server("sandbox", isolation.spawning(toolchain, limits), limits.wall_seconds + _CLEANING_UP)
        servers = (self._compiler, self._runner, self._confirmer, self._spawner)
        self._servers = [each for each in servers if each]

    def run(self, program: Program) -> Outcome:
        """Compile and run `program` to its end or to a limit. Raises SandboxError if it could not be started at all."""
        if self._compiler is None:
            texts = (program.source, program.tests)
            return self._run(program.entry_class, *(map(encoded, texts) if self._announced else texts))
        compiled = compile_program(self._compiler, program)
        if isinstance(compiled, Outcome):
            return compiled
        outcome = None
        if compiled.harmless and self._runner is not None and self._confirmer is not None:
            outcome = run_shared(self._runner, self._confirmer, program.entry_class, compiled.classes)
        outcome = outcome or self._run(program.entry_class, compiled.classes)
        return dataclasses.replace(outcome, in_process=True)

    def _run(self, *fields: str) -> Outcome:
        """Have the program spawned; once more where the spawner did not live to tell."""
        request = json.dumps({"fields": fields})
        for _ in range(2):
            try:
                ending = json.loads(self._spawner.ask(request))
                if ending["last"]:  # there are files of this program's, which the next is not to see
                    self._spawner.close()
                return _judge(ending, self._limits, self._announced)
            except (EOFError, TimeoutError, json.JSONDecodeError):
                if self._spawner.stopped:
                    return STOPPED
        return Outcome(Status.ERROR, "the sandbox died of it, twice")

    def kill(self) -> None:
        """Kill what runs, with everything it started; any thread may call this."""
        for server in self._servers:
            server.kill()

    def close(self) -> None:
        """End the worker's own processes."""
        for server in self._servers:
            server.close()


def _judge(ending: dict[str, object], limits: Limits, announced: bool) -> Outcome:
    """The verdict on a program that the spawner has run: its `report` holds the lines that count, no others.

    Raises SandboxError where it should have `announced` that it started, and has not.
    """
    report, exit_status, seconds = ending["report"], ending["exit_status"], ending["seconds"]
    assert isinstance(report, list) and isinstance(exit_status, int) and isinstance(seconds, float)

    def outcome(status: Status, detail: str = "") -> Outcome:
        return Outcome(status, detail, seconds)

    if ending["killed"]:
        return outcome(Status(str(ending["killed"])), str(ending["detail"]))
    if announced and not report:
        said = str(ending["last_words"]).strip().splitlines()
        raise SandboxError(
            f"the sandbox did not start (exit status {exit_status}): {said[-1] if said else 'no message'}"
        )
    verdicts = [words for words in report if words[0] in set(Status)]
    passes = [words for words in verdicts if words[0] == Status.PASSED]  # only the harness can claim one
    for status, *detail in (passes or verdicts)[:1]:
        return outcome(Status(status), detail[0] if detail else "")
    if exit_status > 128:
        received = exit_status - 128
        if received == signal.SIGXCPU or (received == signal.SIGKILL and seconds >= _CPU_SHARE * limits.cpu_seconds):
            return outcome(Status.TIMEOUT, f"{limits.cpu_seconds} s of CPU time")
        return outcome(Status.ERROR, f"killed by signal {received}")
    return outcome(Status.EARLY_EXIT, f"exit status {exit_status} before the tests' end")
