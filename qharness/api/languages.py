"""What a language must and may have, and the values that travel to and from its programs. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable


class Status(StrEnum):
    """How a program ended."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    COMPILE_ERROR = "compile-error"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    EARLY_EXIT = "early-exit"
    OUTPUT_LIMIT = "output-limit"


@dataclass(frozen=True)
class Program:
    """A solution and the tests to run after it, in one language.

    `tests` empty: a whole program, which passes if its own end is reached and its exit status is 0.
    `entry_class`: the class whose `main` is run, in languages that have one. `packages`: installed packages that it
    may import besides the standard library, as requirements (`numpy`, `numpy>=2`), in languages that offer any.
    """

    language: str
    source: str
    tests: str = ""
    entry_class: str = ""
    packages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """What one program may use. At a limit the whole process tree is killed."""

    cpu_seconds: int = 10
    wall_seconds: float = 20.0
    memory_bytes: int = 1 << 30
    processes: int = 32
    open_files: int = 64
    file_bytes: int = 16 << 20
    disk_bytes: int = 64 << 20
    output_bytes: int = 1 << 20


@dataclass(frozen=True)
class Outcome:
    """How a program ended, why in one line, and the wall time it took.

    `cached`: it was run before. `in_process`: its tests ran in the program's own process, which can forge a pass.
    """

    status: Status
    detail: str = ""
    seconds: float = 0.0
    cached: bool = False
    in_process: bool = False

    @property
    def passed(self) -> bool:
        """Whether the tests ran to their end without an error."""
        return self.status is Status.PASSED


class Worker(Protocol):
    """Runs programs of one language one at a time. Not thread-safe: a pool holds one worker a thread."""

    def run(self, program: Program) -> Outcome:
        """Run a program to its end or to a limit."""
        ...

    def close(self) -> None:
        """End the worker's own processes."""
        ...

    def kill(self) -> None:
        """Kill the program that runs; any thread may call this."""
        ...


@dataclass(frozen=True)
class Toolchain:
    """How a language's programs are run, and what must be readable besides the system's own /usr.

    By a `command` that is started for each, or by a harness in Python for the interpreter that runs qharness, which is
    imported once, in a process that is forked for each program. It is of one of two kinds.

    `harness`: source whose `main(entry_class, source, tests, tokens, report)` runs solution and tests in one process.
    It reads 32 bytes of token from descriptor `tokens`, writes `TOKEN passed` or `- STATUS DETAIL` and a newline to
    descriptor `report`, and ends the process.
    `checked_harness`: modules (name and source, each after those that it imports). The last one's `serve(channel)` runs
    the solution that comes on that socket, and answers calls. The last but one's `check(job, channel, cpu_seconds)` is
    called in a process that stays, with the other end of the socket, and returns (status, detail, whether that comes
    from the program's own process); `job` holds `source`, `tests`, and what these need, as `CheckedLanguage` says.

    `compiler`: the command of a process that compiles many programs, where the language has one. It says `ready`, and
    for each program it reads four lines (a word, entry class, source, tests; the last two in base64) and answers with
    one: that word, `fit` or `worn`, and `ok`, then `shared` or `fresh`, and the compiled program as text without
    spaces, which the harness then gets in place of source and tests; or `error` and a message; or `odd` and a message,
    which is believed only from a process that has served no other program.
    `runner`: the command of a process that runs, one after another, programs that the compiler has called `shared`:
    harmless, for they can neither see nor change anything that outlives them in it. It says `ready`, and for each
    program it reads three lines (a word, entry class, compiled program) and answers with one: that word, `fit` or
    `worn`, and `passed`, `failed` or `error` and a detail, or `again` where a fresh process has to tell. A second such
    process is to confirm what the first did not pass.
    A process that is `worn` is not used again: what the program left behind in it is more than a little.
    `packages`: (name, version) of each installed package that programs may import, dependencies included.
    `search_path`: folders that the harness's interpreter imports from, after the standard library; and `preload`:
    modules that it imports before the harness, so that a program does not wait for them.
    `limit_address_space`: whether RLIMIT_AS can hold the harness to `Limits.memory_bytes` (not so for a JVM, which
    reserves far more than it uses; its command must carry the limit).
    """

    command: tuple[str, ...]
    readable: tuple[Path, ...]
    version: str
    harness: str = ""
    checked_harness: tuple[tuple[str, str], ...] = ()
    compiler: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()
    limit_address_space: bool = True
    packages: tuple[tuple[str, str], ...] = ()
    search_path: tuple[Path, ...] = ()
    preload: tuple[str, ...] = ()


@runtime_checkable
class Language(Protocol):
    """How a program of a language is run and cut.

    The command that `toolchain` names reads four lines from standard input: a secret token, the entry class (may be
    empty), the source and the tests, the last two in base64 (or what the compiler made of them, in one line). It says
    `TOKEN started`, runs source and tests with standard output turned to standard error, and reports on the standard
    output it started with: `TOKEN STATUS DETAIL` and a newline, with STATUS `passed` after the last test only.
    """

    name: ClassVar[str]
    limits: ClassVar[Limits]

    def toolchain(self, limits: Limits) -> Toolchain:
        """Find the compiler or interpreter; raise MissingDependencyError where there is none."""
        ...

    def first_function(self, prompt: str, completion: str) -> str:
        """Cut `completion` after the first whole function or method that `prompt` opened."""
        ...


@runtime_checkable
class MissingNames(Protocol):
    """A language whose errors tell where a name, method or package is used that does not exist."""

    missing_names: ClassVar[str]
    """A regular expression for the beginning of such an error's detail, in one line."""


@runtime_checkable
class PackageLanguage(Protocol):
    """A language whose programs may import installed packages, where their task asks for them."""

    def with_packages(self, toolchain: Toolchain, requirements: Sequence[str]) -> Toolchain:
        """`toolchain` with these packages and all they depend on readable, importable and named with their versions.

        Raises MissingDependencyError, with the command that installs them, where one is missing or has another version
        than is asked for.
        """
        ...


@dataclass(frozen=True)
class TestsNeed:
    """What a program's tests need to run in. `in_process`: the program's own process, where a pass can be forged.

    `straight`: they leave the process that runs them as it was, and end when the program's answers do. `modules`: names
    that mean the library's modules in them, though they do not import these.
    """

    in_process: bool
    straight: bool
    modules: tuple[str, ...] = ()


@runtime_checkable
class CheckedLanguage(Protocol):
    """A language whose harness has a checker: what a program's tests need is told by their text alone."""

    def tests_need(self, tests: str) -> TestsNeed:
        """What these tests need."""
        ...
