"""Languages of generated programs: the protocol of one, the optional protocols, and the values that travel to and from
its programs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable


class Status(StrEnum):
    """The way in which a program ended."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    COMPILE_ERROR = "compile-error"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    EARLY_EXIT = "early-exit"
    OUTPUT_LIMIT = "output-limit"


@dataclass(frozen=True)
class Cases:
    """Inputs of one function and the outputs that are expected, in place of tests: many cases at little cost.

    `inputs`: a literal of the language, the list of each call's arguments. `outputs`: a literal, the list of what is
    expected; empty where `reference`, source that defines `ref_func`, computes it from the inputs. `stages`: (name,
    number of its first input) in the inputs' order; a program that fails in one does not reach the next. `tolerance`:
    absolute, of numbers that are not equal; 0 is 1e-6 for floats. `same`: source that defines
    `same(arguments, output, expected)`, which is asked in place of equality; empty for equality. `call_seconds`: of CPU
    time, for one call; `cpu_seconds`: for the whole program.
    """

    function: str
    inputs: str
    outputs: str
    stages: tuple[tuple[str, int], ...]
    reference: str = ""
    tolerance: float = 0.0
    same: str = ""
    call_seconds: float = 2.0
    cpu_seconds: int = 60

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of all of it, in hexadecimal, computed once."""
        return hashlib.sha256(json.dumps(asdict(self)).encode("utf-8", "surrogatepass")).hexdigest()

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True)
class Program:
    """A solution, and the tests that run after it, in one language.

    With empty `tests` it is a whole program, which passes if it reaches its own end and its exit status is 0.
    `entry_class`: the class whose `main` runs, in languages that have one. `packages`: the installed packages that the
    program may import besides the standard library, as requirements (`numpy`, `numpy>=2`). `cases` take the place of
    `tests`, in a language that is a CaseLanguage.
    """

    language: str
    source: str
    tests: str = ""
    entry_class: str = ""
    packages: tuple[str, ...] = ()
    cases: Cases | None = None


@dataclass(frozen=True)
class Limits:
    """The resources that one program may use. At a limit its whole process tree is killed."""

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
    """The result of one program: how it ended, the reason in one line, and the wall time that it took.

    `cached`: the result of an earlier execution. `in_process`: the tests ran in the program's own process, which can
    forge a pass. `stages`: the stages of its Cases that it passed.
    """

    status: Status
    detail: str = ""
    seconds: float = 0.0
    cached: bool = False
    in_process: bool = False
    stages: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the tests ran to their end without an error."""
        return self.status is Status.PASSED


@dataclass(frozen=True)
class Toolchain:
    """The way to run a language's programs, and the paths that they must be able to read besides the system's /usr.

    There are two kinds. One starts `command` for each program. The other imports a harness, written in Python, once
    into the interpreter that runs qharness, and forks that process for each program.

    `harness`: source whose `main(entry_class, source, tests, tokens, report)` runs solution and tests in one process.
    It reads a token of 32 bytes from descriptor `tokens`, writes `TOKEN passed` or `- STATUS DETAIL` and a newline to
    descriptor `report`, and ends the process.
    `checked_harness`: modules (name, source), each after the modules that it imports. The last one's `serve(channel)`
    runs the solution that arrives on that socket, and answers calls. The last but one's
    `check(job, channel, cpu_seconds)` runs in a process that stays, with the other end of the socket, and returns
    (status, detail, whether that comes from the program's own process); `job` holds `source`, `tests`, and the fields
    of TestsNeed. A CaseLanguage's `job` may hold `cases` in place of these: their `digest`, and their fields, unless
    the last program of the same process had the same cases. The names of the stages that passed then follow in what
    `check` returns; its status is `lost` where it does not have the cases, `unusable` where these are faulty.
    `compiler`: the command of a process that compiles many programs. It writes `ready`. For each program it reads four
    lines (a word, entry class, source, tests; the last two in base64) and writes one: that word, `fit` or `worn`, and
    one of these: `ok`, then `shared` or `fresh`, then the compiled program as text without spaces, which the harness
    gets in place of source and tests; `error` and a message; `odd` and a message, which the host believes only from a
    process that has served no other program.
    `runner`: the command of a process that runs, one after another, the programs that the compiler has called `shared`:
    these can neither see nor change anything that outlives them in the process. It writes `ready`. For each program it
    reads three lines (a word, entry class, compiled program) and writes one: that word, `fit` or `worn`, and `passed`,
    or `failed` or `error` and a detail, or `again` where a fresh process has to decide. A second such process confirms
    each result other than a pass.
    The host replaces a process that is `worn`: one in which a program has left more than a little behind.
    `packages`: (name, version) of each installed package that programs may import, with the packages it depends on.
    `search_path`: folders that the harness's interpreter imports from, after the standard library. `preload`: modules
    that it imports before the harness, so that no program waits for them.
    `tool`: the path of the compiler or interpreter, where it is not the first word of `command`, for people to see.
    `executable_files`: whether a program's process may start files that it has written itself.
    `checker_bytes`: the memory, in bytes, that a checker's own processes may hold beyond `Limits.memory_bytes`.
    `limit_address_space`: whether RLIMIT_AS can hold the harness to `Limits.memory_bytes`. A JVM reserves far more than
    it uses, so for it this is false, and its command must carry the limit.
    """

    command: tuple[str, ...]
    readable: tuple[Path, ...]
    version: str
    harness: str = ""
    checked_harness: tuple[tuple[str, str], ...] = ()
    compiler: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()
    tool: str = ""
    executable_files: bool = False
    checker_bytes: int = 0
    limit_address_space: bool = True
    packages: tuple[tuple[str, str], ...] = ()
    search_path: tuple[Path, ...] = ()
    preload: tuple[str, ...] = ()


@runtime_checkable
class Language(Protocol):
    """A language of generated programs.

    The command of its toolchain reads four lines from standard input: a secret token, the entry class (may be empty),
    the source and the tests, the last two in base64 (or, in one line, the compiled program). It writes `TOKEN started`,
    turns standard output to standard error, and runs source and tests. It then writes `TOKEN STATUS DETAIL` and a
    newline to the standard output that it started with, with STATUS `passed` after the last test only.
    """

    name: ClassVar[str]
    limits: ClassVar[Limits]

    def toolchain(self, limits: Limits) -> Toolchain:
        """Find the compiler or interpreter. Raises MissingDependencyError if there is none."""
        ...

    def first_function(self, prompt: str, completion: str) -> str:
        """Cut `completion` after the first whole function or method, which `prompt` has begun."""
        ...


@runtime_checkable
class MissingNames(Protocol):
    """A language whose errors show that a program used a name, method or package which does not exist."""

    missing_names: ClassVar[str]
    """A regular expression that matches the beginning of such an error's detail, in one line."""


@runtime_checkable
class SourceFiles(Protocol):
    """A language whose source files can be told by their names, so that calibration sets can be drawn from them."""

    suffixes: ClassVar[tuple[str, ...]]
    """The endings of the names of its files, in small letters, each with its dot."""


@runtime_checkable
class PackageLanguage(Protocol):
    """A language whose programs may import installed packages, where their task asks for them."""

    def with_packages(self, toolchain: Toolchain, requirements: Sequence[str]) -> Toolchain:
        """Add packages, and all that they depend on, to the toolchain's readable, importable and versioned ones.

        Raises MissingDependencyError, with the command that installs them, if one is missing or has another version
        than the requirements ask for.
        """
        ...


@dataclass(frozen=True)
class TestsNeed:
    """The needs of a program's tests.

    `in_process`: they must run in the program's own process, where a pass can be forged. `straight`: they leave the
    process that runs them as it was, and end when the program's answers do. `modules`: names that mean library modules
    in the tests without an import.
    """

    in_process: bool
    straight: bool
    modules: tuple[str, ...] = ()


@runtime_checkable
class CheckedLanguage(Protocol):
    """A language whose toolchain has a `checked_harness`, which runs tests apart from the program."""

    def tests_need(self, tests: str) -> TestsNeed:
        """Return the needs of these tests, from their text alone."""
        ...


@runtime_checkable
class CaseLanguage(CheckedLanguage, Protocol):
    """A checked language whose harness can judge a program by its Cases."""

    reads_cases: ClassVar[bool]
