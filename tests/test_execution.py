from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from qharness import Limits, Outcome, Program, SandboxError, Status, Toolchain, execute_programs
from qharness.execution import choose_isolation, run_programs, sandbox
from qharness.execution.worker import SandboxWorker
from qharness.plugins.languages import Python
from qharness.plugins.languages import java as java_plugin
from qharness.registry import get_registry

SHORT = Limits(cpu_seconds=2, wall_seconds=4.0, memory_bytes=256 << 20, output_bytes=10_000, processes=16)


def run(source: str, tests: str = "", language: str = "python", limits: Limits | None = None) -> Outcome:
    program = Program(language, source, tests, "Problem" if language == "java" else "")
    return run_programs([program], get_registry().language, choose_isolation(), limits=limits)[0]


def java(body: str, tests: str = "assert f() == 1;") -> Outcome:
    method = f"class Problem {{ static int f() {{ {body} }}"
    return run(method, f"public static void main(String[] a) {{ {tests} }} }}", "java")


PYTHON = {
    "right": ("def f(): return 1", "assert f() == 1", Status.PASSED),
    "wrong": ("def f(): return 2", "assert f() == 1", Status.FAILED),
    "raises": ("def f(): return 1 / 0", "f()", Status.ERROR),
    "recursion": ("def f(): return f()", "f()", Status.ERROR),
    "syntax": ("def f(:", "f()", Status.COMPILE_ERROR),
    "null byte": ("x = '\0'", "", Status.COMPILE_ERROR),
    "exit at import": ("import sys; sys.exit(0)", "assert False", Status.EARLY_EXIT),
    "exit in the tests": ("import sys\ndef f(): sys.exit(0)", "f(); assert False", Status.EARLY_EXIT),
    "hard exit": ("import os\ndef f(): os._exit(0)", "f(); assert False", Status.EARLY_EXIT),
    "exit status 3": ("import os; os._exit(3)", "", Status.EARLY_EXIT),
    "signal": ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "", Status.ERROR),
    "memory": ("x = bytearray(1 << 30)", "", Status.OUT_OF_MEMORY),
    "cpu": ("while True: pass", "", Status.TIMEOUT),
    "sleep": ("import time; time.sleep(60)", "", Status.TIMEOUT),
    "output": ("while True: print('x' * 1000)", "", Status.OUTPUT_LIMIT),
    "report descriptor": ("import os\nfor d in range(3, 20):\n  try: os.write(d, b'x passed \\n')\n  except OSError: pass\nos._exit(0)", "", Status.EARLY_EXIT),
    "printed report": ("import os; print('started'); print('passed', flush=True); os._exit(0)", "", Status.EARLY_EXIT),
    "forked child reports": ("import os\nif os.fork(): os._exit(0)", "pass", Status.EARLY_EXIT),
    "reads input": ("input()", "", Status.ERROR),
    "broken tests": ("x = 1", "assert (", Status.ERROR),
    "asyncio": ("import asyncio\nasync def f(): return 1", "assert asyncio.run(f()) == 1", Status.PASSED),
    "threads": ("from concurrent.futures import ThreadPoolExecutor as T\nwith T(2) as t: x = list(t.map(abs, [1, -2]))", "assert x == [1, 2]", Status.PASSED),
    "another interpreter": ("import subprocess, sys", "assert subprocess.run([sys.executable, '-c', 'print(1)'], capture_output=True).stdout == b'1\\n'", Status.PASSED),
    "may do without ctypes": ("try: import ctypes\nexcept ImportError: ctypes = None", "assert ctypes is None", Status.PASSED),
    "mocks": ("import os\ndef f(): return os.getcwd()", "from unittest import mock\nwith mock.patch('os.getcwd', lambda: 'x'): assert f() == 'x'", Status.PASSED),
    "unittest passes": ("def f(): return 1", "import unittest\nclass T(unittest.TestCase):\n  def test(self): self.assertEqual(f(), 1)\nif __name__ == '__main__':\n  unittest.main()", Status.PASSED),
    "unittest fails": ("def f(): return 2", "import unittest\nclass T(unittest.TestCase):\n  def test(self): self.assertEqual(f(), 1)\nunittest.main()", Status.FAILED),
    "unittest and an exit": ("import sys\ndef f(): sys.exit(0)", "import unittest\nclass T(unittest.TestCase):\n  def test(self): self.assertEqual(f(), 1)\nunittest.main()", Status.EARLY_EXIT),
}  # fmt: skip


@pytest.mark.parametrize("case", PYTHON)
def test_python_statuses(case: str) -> None:
    source, tests, status = PYTHON[case]
    outcome = run(source, tests, limits=SHORT)
    assert outcome.status is status, outcome
    assert outcome.passed == (status is Status.PASSED)


JAVA = {
    "right": ("return 1;", Status.PASSED),
    "wrong": ("return 2;", Status.FAILED),
    "raises": ("return new int[0][1].length / 0;", Status.ERROR),
    "recursion": ("return f();", Status.ERROR),
    "does not compile": ("return one;", Status.COMPILE_ERROR),
    "exit": ("System.exit(0); return 1;", Status.EARLY_EXIT),
    "halt": ("Runtime.getRuntime().halt(0); return 1;", Status.EARLY_EXIT),
    "memory": ("long[][] x = new long[99][]; for (int i = 0; i < 99; i++) x[i] = new long[1 << 24]; return x.length;", Status.OUT_OF_MEMORY),
}  # fmt: skip


@pytest.mark.parametrize("case", JAVA)
def test_java_statuses(case: str) -> None:
    body, status = JAVA[case]
    outcome = java(body)
    assert outcome.status is status, outcome


def test_java_prints_and_loops() -> None:
    limits = Limits(cpu_seconds=3, wall_seconds=6.0, output_bytes=10_000, processes=128)
    main = "class Problem {{ public static void main(String[] a) {{ while (true) {} }} }}"
    assert run(main.format(";"), language="java", limits=limits).status is Status.TIMEOUT
    assert (
        run(main.format('System.out.println("xxxxxxxxxx");'), language="java", limits=limits).status
        is Status.OUTPUT_LIMIT
    )


@pytest.mark.long
def test_a_toolchain_may_stand_below_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "cache"))
    java_plugin._compiled_harness.cache_clear()
    try:
        assert java("return 1;").passed
    finally:
        java_plugin._compiled_harness.cache_clear()


def test_a_public_class_and_one_that_is_not_main() -> None:
    source = "public class Other { public static void main(String[] a) { System.out.println(1); } }"
    (outcome,) = execute_programs("java", [source], entry_class="Other")
    assert outcome.passed, outcome
    (outcome,) = execute_programs("java", [source.replace("Other", "Main")])
    assert outcome.passed, outcome


def test_whole_programs_in_order_and_identical_ones_once() -> None:
    stamp = "import time; raise Exception(str(time.time_ns()))"
    first, other, second = execute_programs("python", [stamp, "x = 1", stamp])
    assert other.passed
    assert first is second and first.status is Status.ERROR


def test_runs_unprotected_where_allowed() -> None:
    language = get_registry().language
    programs = [
        Program("python", "x = 1"),
        Program("python", "import os; os._exit(0)"),
        Program("python", "while 1: pass"),
    ]
    statuses = [o.status for o in run_programs(programs, language, sandbox.NONE, limits=SHORT)]
    assert statuses == [Status.PASSED, Status.EARLY_EXIT, Status.TIMEOUT]


def test_a_sandbox_that_does_not_start_is_no_verdict() -> None:
    def broken_argv(readable: Sequence[Path], limits: Limits) -> list[str]:
        return ["false"]

    broken = sandbox.Isolation("broken", True, False, broken_argv, broken_argv)
    with pytest.raises(SandboxError, match="did not start"):
        SandboxWorker(get_registry().language("python"), broken).run(Program("python", ""))


COMMAND = """
import base64, sys
token, entry, source, tests = (sys.stdin.readline().strip() for _ in range(4))
print(token, "started", flush=True)
code = [base64.b64decode(text).decode() for text in (source, tests)]
print(token, "passed" if code == ["first\\nsecond", "third\\nfourth"] and entry == "Main" else "failed")
"""


def test_a_language_of_a_command_and_no_compiler_reads_four_lines() -> None:
    """Source and tests come in base64, a line each, as the hook's documentation says."""

    class Plain(Python):
        def toolchain(self, limits: Limits) -> Toolchain:
            return Toolchain(command=(sandbox.interpreter(), "-c", COMMAND), readable=(), version="1")

    worker = SandboxWorker(Plain(), choose_isolation())
    assert worker.run(Program("python", "first\nsecond", "third\nfourth", "Main")).passed
    assert worker.run(Program("python", "other", "third\nfourth", "Main")).status is Status.FAILED
    worker.close()


def test_tests_run_after_each_source() -> None:
    outcomes = execute_programs("python", ["x = 1", "x = 2"], tests=["assert x == 1"] * 2)
    assert [outcome.status for outcome in outcomes] == [Status.PASSED, Status.FAILED]


REPORTING = """
import os
def main(entry_class, source, tests, tokens, report):
    token = os.read(tokens, 32).decode()
    os.write(report, source.replace("TOKEN", token).encode())
    os._exit(0)
"""


@pytest.mark.parametrize(
    ("report", "status"),
    [
        ("TOKEN passed \n", "passed"),
        ("- failed why not\n", "failed"),
        ("- nonsense it says\n", "error"),
        ("- passed \n", "early-exit"),
        ("TOKEN pas", "early-exit"),
    ],
)
def test_a_harness_of_one_process_is_believed_in_whole_lines(report: str, status: str) -> None:
    """Whatever it reports, it is a verdict and no end of the run."""

    class Reporting:
        name: ClassVar[str] = "reporting"
        limits: ClassVar[Limits] = Limits()

        def toolchain(self, limits: Limits) -> Toolchain:
            return Toolchain(command=(), readable=(), version="1", harness=REPORTING)

        def first_function(self, prompt: str, completion: str) -> str:
            return completion

    worker = SandboxWorker(Reporting(), choose_isolation())
    outcome = worker.run(Program("reporting", report, "tests"))
    worker.close()
    assert outcome.status == status and outcome.in_process
