"""A pool of workers over a batch of programs; identical programs run once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from qharness.api.languages import CaseLanguage, Language, Limits, Outcome, Program, Toolchain
from qharness.bounds import parse_number
from qharness.errors import QHarnessError
from qharness.execution.sandbox import Isolation, choose_isolation
from qharness.execution.toolchains import find_toolchain
from qharness.execution.verdicts import VerdictCache, verdict_key
from qharness.execution.workers import WorkerKind, Workers, kept_workers
from qharness.registry import get_registry

CORES = "QHARNESS_CORES"
"""The environment variable that holds how many programs run at a time; where it is not set, one per core."""


def cores_at_hand() -> int:
    """Return how many programs may run at a time: QHARNESS_CORES, or all cores; raise SettingError for a bad one."""
    asked = parse_number("cores", os.environ.get(CORES) or "auto", CORES, word="auto")
    return int(asked or os.cpu_count() or 1)


class _Need(NamedTuple):
    """What a worker must have to run a program."""

    language: str
    packages: tuple[str, ...]
    limits: Limits


def _need(program: Program, language: Language, limits: Limits | None) -> _Need:
    """Return a program's need; raise QHarnessError where it has cases and its language reads none."""
    cases = program.cases
    if cases is not None and not isinstance(language, CaseLanguage):
        raise QHarnessError(f"programs in {language.name} cannot be judged by cases: only by tests")
    own = limits or (replace(language.limits, cpu_seconds=cases.cpu_seconds) if cases else language.limits)
    return _Need(program.language, program.packages, own)


def run_programs(
    programs: Sequence[Program],
    languages: Callable[[str], Language],
    isolation: Isolation,
    *,
    limits: Limits | None = None,
    workers: int | None = None,
    verdicts: VerdictCache | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    toolchains: Mapping[tuple[str, tuple[str, ...]], Toolchain] = MappingProxyType({}),
) -> list[Outcome]:
    """Run each distinct program once, `workers` at a time, and return the outcomes in the programs' order.

    `workers` is QHARNESS_CORES by default, or one per core. A program whose verdict is in `verdicts` is not run; new
    verdicts are added there. `progress(done, total)` counts the distinct programs that are run. `toolchains`: known
    toolchains under the languages' own limits, by language and packages. Raises MissingDependencyError where a
    compiler, an interpreter or a package is missing, before any program runs. Inside `keeping_workers` the workers
    stay for the next batch.
    """
    distinct = list(dict.fromkeys(programs))
    found = {name: languages(name) for name in dict.fromkeys(program.language for program in distinct)}
    needs = {program: _need(program, found[program.language], limits) for program in distinct}
    known = {} if limits else toolchains

    def kind(need: _Need) -> WorkerKind:
        language = found[need.language]
        toolchain = known.get(need[:2]) or find_toolchain(language, need.packages, need.limits)
        return WorkerKind(language, toolchain, need.limits, isolation)

    kinds = {need: kind(need) for need in dict.fromkeys(needs.values())}

    def key(program: Program) -> str:
        return verdict_key(program, kinds[needs[program]].toolchain, needs[program].limits, isolation)

    keys = {program: key(program) for program in distinct} if verdicts else {}
    judged = verdicts.find(keys.values()) if verdicts else {}
    outcomes = {program: judged[key] for program, key in keys.items() if key in judged}
    new = [program for program in distinct if program not in outcomes]
    todo, lock = iter(new), threading.Lock()
    kept = kept_workers()
    staff = kept or Workers()
    staff.keep_only(kinds.values())

    def work(number: int) -> None:
        """Run one program after another until none is left."""
        while True:
            with lock:
                program = next(todo, None)
            if program is None:
                return
            outcome = staff.worker(kinds[needs[program]], number).run(program)
            with lock:
                outcomes[program] = outcome
                progress(len(outcomes) - len(judged), len(new))

    count = workers or cores_at_hand()
    threads = [staff.threads.submit(work, number) for number in range(min(count, len(new)))]
    finished = False
    try:
        for thread in as_completed(threads):
            thread.result()
        finished = True
    finally:
        if not finished:
            todo = iter(())
            staff.kill()
        if not (finished and kept):
            staff.close()
        if verdicts:
            verdicts.add({keys[program]: outcomes[program] for program in new if program in outcomes})
    return [outcomes[program] for program in programs]


def execute_programs(
    language: str,
    sources: Sequence[str],
    *,
    tests: Sequence[str] | None = None,
    entry_class: str | None = None,
    packages: Sequence[str] = (),
    limits: Limits | None = None,
    workers: int | None = None,
) -> list[Outcome]:
    """Run programs in the sandbox and return one outcome for each, in order.

    A program has passed if it reached its own end with exit status 0, or, where there are `tests` (one for each
    source), if these ran to their end without an error. `entry_class` names the class whose `main` is run, in
    languages that have one. `packages` are the installed packages that programs may import, as requirements
    (`numpy>=2`). Raises UnknownNameError, MissingDependencyError or SandboxError.
    """
    after = [""] * len(sources) if tests is None else tests
    pairs = zip(sources, after, strict=True)
    programs = [Program(language, source, checks, entry_class or "", tuple(packages)) for source, checks in pairs]
    return run_programs(programs, get_registry().language, choose_isolation(), limits=limits, workers=workers)
