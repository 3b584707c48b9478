"""The worker: runs programs of one language, and turns the way each ended into a verdict."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Callable
from dataclasses import asdict, dataclass

from qharness.api.languages import (
    Cases,
    CheckedLanguage,
    Language,
    Limits,
    Outcome,
    Program,
    Status,
    Toolchain,
)
from qharness.errors import DataError, SandboxError
from qharness.execution.jail.messages import SEPARATOR, header, new_nonce
from qharness.execution.process import encoded
from qharness.execution.sandbox import Isolation
from qharness.execution.servers import STOPPED, Server, compile_program, run_shared
from qharness.execution.toolchains import find_toolchain

_SHARED_SHARE = 0.25  # of the wall limit, for a runner of many programs: then a process of the program's own decides
_CPU_SHARE = 0.9  # of the CPU limit: the kernel counts by another clock, and may kill a little early
_ABSOLUTE = 3.0  # times the wall limit: there the spawner ends any program
_GONE, _REACH_IN, _LOST, _UNUSABLE = "gone", "reach-in", "lost", "unusable"
"""What a checker reports besides a status: the program ended; its tests need its process; the tests' fork died, or the
checker does not have the cases; these are faulty."""
_CLEANING_UP = 10.0  # seconds beyond every limit, after which a spawner that has not answered hangs


class SandboxWorker:
    """Runs programs of one language. One thread at a time.

    Its processes live as long as it does: the spawner, which gives each program a process and namespaces of its own;
    the compiler, if the language has one; the runner of programs that the compiler has found harmless; and the
    confirmer, a second runner for the programs that did not pass in the first.
    """

    def __init__(
        self,
        language: Language,
        isolation: Isolation,
        limits: Limits | None = None,
        *,
        partner: SandboxWorker | None = None,
        toolchain: Toolchain | None = None,
    ) -> None:
        """`toolchain`: the language's under these limits, with the packages that its programs may import.

        A `partner` of the same language and packages lends its compiler, which is slow at first, and its confirmer.
        """
        self._limits = limits = limits or language.limits
        toolchain = toolchain or find_toolchain(language, (), limits)
        self._forked, self._language = bool(toolchain.harness or toolchain.checked_harness), language

        def server(name: str, command: tuple[str, ...], share: float = 1.0) -> Server | None:
            argv = isolation.serving(command, toolchain.readable, limits)
            return Server(name, argv, limits.wall_seconds * share) if command else None

        self._compiler: Server | None = partner._compiler if partner else server("compiler", toolchain.compiler)
        self._runner = server("runner", toolchain.runner, _SHARED_SHARE)
        confirmer = None if partner else server("confirmer", toolchain.runner, _SHARED_SHARE)
        self._confirmer: Server | None = partner._confirmer if partner else confirmer
        patience = _ABSOLUTE * limits.wall_seconds + _CLEANING_UP
        spawning = isolation.spawning(toolchain, limits)
        self._spawner = Server("sandbox", spawning, patience, counted=isolation.isolates)
        self._cases_given = ""  # the digest of the cases that the spawner's checker has
        servers = (self._compiler, self._runner, self._confirmer, self._spawner)
        self._servers = [each for each in servers if each]

    def run(self, program: Program) -> Outcome:
        """Compile and run `program` to its end or to a limit. Raises SandboxError if it could not be started."""
        if self._forked:
            return self._check(program)
        if self._compiler is None:
            return self._run(program.entry_class, encoded(program.source), encoded(program.tests))
        compiled = compile_program(self._compiler, program)
        if isinstance(compiled, Outcome):
            return compiled
        outcome = None
        if compiled.harmless and self._runner is not None and self._confirmer is not None:
            outcome = run_shared(self._runner, self._confirmer, program.entry_class, compiled.classes)
        outcome = outcome or self._run(program.entry_class, compiled.classes)
        return dataclasses.replace(outcome, in_process=True)

    def _check(self, program: Program) -> Outcome:
        """Have the checker judge the program, or the program's own process where its tests need that."""
        job: dict[str, object] = {
            "entry_class": program.entry_class,
            "source": program.source,
            "tests": program.tests,
        }
        cases = program.cases
        if cases is None and isinstance(self._language, CheckedLanguage):
            job |= asdict(self._language.tests_need(program.tests))
        said, ending = self._spawned(lambda: json.dumps(job if cases is None else {**job, "cases": self._given(cases)}))
        if said and json.loads(said)[1] == _REACH_IN:
            said, ending = self._spawned(lambda: json.dumps({**job, "in_process": True}))
        if ending is None:
            return self._undecided()
        return _judge_checked(CheckerVerdict(*json.loads(said)[1:]) if said else None, ending, self._limits)

    def _given(self, cases: Cases) -> dict[str, object]:
        """Return the cases for a job: their digest, and their fields where the checker does not have them."""
        known = self._cases_given == cases.digest and not self._spawner.unused
        self._cases_given = cases.digest
        return {"digest": cases.digest} if known else {"digest": cases.digest, **asdict(cases)}

    def _run(self, *fields: str) -> Outcome:
        """Run the toolchain's command on these fields, and judge the program."""
        _, ending = self._spawned(lambda: json.dumps({"fields": fields}))
        return self._undecided() if ending is None else _judge(ending, self._limits)

    def _spawned(self, job: Callable[[], str]) -> tuple[str, dict[str, object] | None]:
        """Return (the checker's report, the program's ending); try again with a new spawner where one of them died.

        `job()` returns the request, for the spawner as it is then. The ending is None where the second attempt fails
        too, or the worker was stopped.
        """
        for _ in range(2):
            nonce, payload = new_nonce(), job()
            try:
                said, separator, seen = self._spawner.ask(header(payload, nonce), payload).rpartition(SEPARATOR)
                signed, _, ending = seen.partition(" ")
                if signed != nonce or (separator and json.loads(said)[0] != nonce):
                    raise EOFError
                document: dict[str, object] = json.loads(ending)
            except (EOFError, TimeoutError, ValueError):
                if self._spawner.stopped:
                    break
                self._spawner.close()
                continue
            if document["spent"]:  # a program has left something behind
                self._spawner.close()
            lost = json.loads(said)[1] == _LOST if said else not document["killed"]
            if document["checked"] and lost:
                self._spawner.close()
                continue
            return said, document
        return "", None

    def _undecided(self) -> Outcome:
        """Return the verdict on a program at which two spawners died: an error of the program, if an empty one runs.

        Raises SandboxError if that does not run either.
        """
        if self._spawner.stopped:
            return STOPPED
        empty = dict.fromkeys(("entry_class", "source", "tests"), "")
        other = {**empty, "in_process": True, "straight": True, "modules": [], "fields": ["", "", ""]}
        if self._spawned(lambda: json.dumps(other))[1] is None:
            raise SandboxError("the sandbox's spawner died, or answered nonsense, three times in a row")
        return Outcome(Status.ERROR, "the sandbox died of it, twice")

    def kill(self) -> None:
        """Kill the worker's processes and all that they started; any thread may call this."""
        for server in self._servers:
            server.kill()

    def close(self) -> None:
        """End the worker's own processes."""
        for server in self._servers:
            server.close()


@dataclass(frozen=True)
class CheckerVerdict:
    """What a checker reports. `stages`: the stages of its Cases that the program passed."""

    status: str
    detail: str
    in_process: bool
    stages: tuple[str, ...] = ()


def _judge_checked(verdict: CheckerVerdict | None, ending: dict[str, object], limits: Limits) -> Outcome:
    """Return the checker's verdict, unless the program left it or was killed."""
    if verdict is None:
        return _left(ending, limits)
    stages = tuple(verdict.stages)
    if verdict.status == _GONE:
        left = _left(ending, limits, verdict.detail)
        return dataclasses.replace(left, in_process=verdict.in_process, stages=stages)
    if verdict.status == _UNUSABLE:
        raise DataError(f"the cases of a program cannot be used: {verdict.detail}")
    known = verdict.status in set(Status)  # a harness of one process passes on what the program claims
    status, detail = (Status(verdict.status), verdict.detail) if known else (Status.ERROR, "an unknown status")
    return Outcome(status, detail, _seconds(ending), in_process=verdict.in_process, stages=stages)


def _seconds(ending: dict[str, object]) -> float:
    seconds = ending["seconds"]
    assert isinstance(seconds, float)
    return seconds


def _left(ending: dict[str, object], limits: Limits, nonsense: str = "") -> Outcome:
    """Return the verdict on a program that was killed at a limit, left before its tests' end, or answers `nonsense`."""
    seconds, exit_status, cpu_seconds = _seconds(ending), ending["exit_status"], ending["cpu_seconds"]
    assert isinstance(exit_status, int) and isinstance(cpu_seconds, float)
    if ending["killed"]:
        return Outcome(Status(str(ending["killed"])), str(ending["detail"]), seconds)
    if nonsense:
        return Outcome(Status.ERROR, f"it answered its tests with nonsense: {nonsense}", seconds)
    received = exit_status - 128
    at_cpu_limit = received == signal.SIGKILL and cpu_seconds >= _CPU_SHARE * limits.cpu_seconds
    if received == signal.SIGXCPU or at_cpu_limit:
        return Outcome(Status.TIMEOUT, f"{limits.cpu_seconds} s of CPU time", seconds)
    if received == signal.SIGKILL and ending["left"]:
        return Outcome(Status.EARLY_EXIT, "it left its tests", seconds)
    if received > 0:
        return Outcome(Status.ERROR, f"killed by signal {received}", seconds)
    return Outcome(Status.EARLY_EXIT, f"exit status {exit_status} before the tests' end", seconds)


def _judge(ending: dict[str, object], limits: Limits) -> Outcome:
    """Return the verdict on a program that a command has run: `report` in its ending holds only lines that count.

    Raises SandboxError where the command has not reported that it started.
    """
    report = ending["report"]
    assert isinstance(report, list)
    if not ending["killed"] and not report:
        said = str(ending["last_words"]).strip().splitlines()
        raise SandboxError(
            f"the sandbox did not start (exit status {ending['exit_status']}): {said[-1] if said else 'no message'}"
        )
    verdicts = [words for words in report if words[0] in set(Status)]
    passes = [words for words in verdicts if words[0] == Status.PASSED]  # only the harness can claim one
    if not ending["killed"]:
        for status, *detail in (passes or verdicts)[:1]:
            return Outcome(Status(status), detail[0] if detail else "", _seconds(ending), in_process=True)
    return dataclasses.replace(_left(ending, limits), in_process=True)
