from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qharness import Limits, Outcome, Program, SandboxError, Status, execute_programs
from qharness.execution import choose_isolation, run_programs, sandbox
from qharness.execution.worker import SandboxWorker
from qharness.plugins.languages import java as java_plugin
from qharness.registry import get_registry
from tests.conftest import REPOSITORY

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


@pytest.mark.parametrize("isolation", [sandbox.OWN_USER, sandbox.USER_NAMESPACE], ids=lambda i: i.name)
@pytest.mark.parametrize("language", ["python", "java"])
def test_every_isolation_runs_every_language(isolation: sandbox.Isolation, language: str) -> None:
    if isolation is sandbox.OWN_USER and os.geteuid() != 0:
        pytest.skip("needs root")
    right = {
        "python": ("x = 1", "assert x == 1"),
        "java": ("class Problem { static int x = 1;", "public static void main(String[] a) { assert x == 1; } }"),
    }
    source, tests = right[language]
    programs = [
        Program(language, source, tests, "Problem"),
        Program(language, source.replace("1", "2"), tests, "Problem"),
    ]
    outcomes = run_programs(programs, get_registry().language, isolation)
    assert [o.status for o in outcomes] == [Status.PASSED, Status.FAILED], outcomes


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
    limits = Limits(cpu_seconds=20, wall_seconds=6.0, output_bytes=10_000, processes=128)
    main = "class Problem {{ public static void main(String[] a) {{ while (true) {} }} }}"
    assert run(main.format(";"), language="java", limits=limits).status is Status.TIMEOUT
    assert (
        run(main.format('System.out.println("xxxxxxxxxx");'), language="java", limits=limits).status
        is Status.OUTPUT_LIMIT
    )


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


SECRET = "canary-7f3a"


def test_nothing_of_the_host_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment, no home, no files of ours, no other process, no network, no writing but in one empty folder."""
    monkeypatch.setenv("QHARNESS_CANARY", SECRET)
    home_file = Path.home() / ".qharness-test-canary"
    home_file.write_text(SECRET)
    (tmp_path / "secret").write_text(SECRET)
    listener = socket.create_server(("127.0.0.1", 0))
    source = f"""
import os, socket, glob
assert {SECRET!r} not in str(dict(os.environ)), "environment"
for path in ({str(home_file)!r}, {str(tmp_path / "secret")!r}, {str(Path(__file__))!r}):
    assert not os.path.exists(path), path
for path in glob.glob('/proc/[0-9]*/environ'):
    try: assert {SECRET.encode()!r} not in open(path, 'rb').read(), path
    except PermissionError: pass
assert len(glob.glob('/proc/[0-9]*')) < 5, glob.glob('/proc/[0-9]*')
try: socket.create_connection(('127.0.0.1', {listener.getsockname()[1]}), 1)
except OSError: pass
else: raise AssertionError('network')
assert os.getcwd() == '/tmp' and os.listdir('/tmp') == []
open('/tmp/mine', 'w').write('x')
for path in ('/x', '/usr/x', '/dev/shm/x', '/etc/x', '/var/tmp/x', os.__file__):
    try: open(path, 'a')
    except OSError: pass
    else: raise AssertionError('wrote ' + path)
assert os.getuid() != 0
try: open('/tmp/big', 'wb').write(bytes(100 << 20))
except OSError: pass
else: raise AssertionError('disk')
"""
    try:
        assert run("pass", source).detail == ""
        assert run("pass", source).status is Status.PASSED
        listener.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listener.accept()
    finally:
        home_file.unlink()
        listener.close()


def processes() -> set[str]:
    return {p.name for p in Path("/proc").iterdir() if p.name.isdigit()}


def test_a_timeout_takes_the_whole_tree_along() -> None:
    marker = "sleep-marker-4711"
    source = f"import os, time\nfor _ in range(3):\n  if os.fork() == 0:\n    os.setsid()\n    os.execv('/bin/sh', ['{marker}', '-c', 'sleep 100'])\ntime.sleep(100)"
    assert run(source, limits=SHORT).status is Status.TIMEOUT
    for _ in range(20):
        left = [p for p in Path("/proc").glob("[0-9]*/cmdline") if marker.encode() in _read(p)]
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(left)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_fork_bomb_is_held_and_ends() -> None:
    before = len(processes())
    most = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.1):
            most = max(most, len(processes()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    outcome = run("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", limits=SHORT)
    done.set()
    watcher.join()
    assert outcome.status in (Status.TIMEOUT, Status.ERROR)
    assert most - before < 3 * SHORT.processes


def test_closing_a_worker_kills_its_program() -> None:
    worker = SandboxWorker(get_registry().language("python"), choose_isolation())
    threading.Timer(0.5, worker.close).start()
    start = time.monotonic()
    outcome = worker.run(Program("python", "import time; time.sleep(60)"))
    assert time.monotonic() - start < 5 and not outcome.passed


@pytest.fixture
def for_everyone() -> Iterator[Path]:
    """A folder anyone can read, with what executing programs needs: our package, pluggy and yaml."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    for name in ("pluggy", "yaml"):
        shutil.copytree(Path(importlib.util.find_spec(name).origin).parent, folder / name)  # type: ignore[union-attr, arg-type]
    for source, target in (("qharness", ""), ("plugins", "qharness"), ("tasks", "qharness")):
        shutil.copytree(REPOSITORY / source, folder / target / source)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_works_for_an_ordinary_user(for_everyone: Path) -> None:
    """As nobody, by the system's Python: ours may be in root's home, where nobody may not read."""
    python = Path("/usr/bin/python3")
    asked = [python, "-c", "import sys; print(sys.version_info >= (3, 11))"]
    if not python.exists() or subprocess.run(asked, capture_output=True, text=True).stdout.strip() != "True":
        pytest.skip("needs a system Python of 3.11 or newer")
    code = """
from qharness import execute_programs
from qharness.execution import choose_isolation
print(choose_isolation().name)
fork = "import os, time\\nfor _ in range(99):\\n  if os.fork() == 0:\\n    time.sleep(2); os._exit(0)"
seen = "import os; assert os.getuid() != 0 and not os.path.exists('/root') and os.listdir('/tmp') == []"
print(*(o.status for o in execute_programs("python", ["x = 1", "import os; os._exit(0)", fork, seen])))
print(*(o.status for o in execute_programs("java", ["class Main { public static void main(String[] a) {} }"])))
"""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(for_everyone),
        "QHARNESS_CACHE_DIR": "/tmp/qharness-nobody",
    }
    done = subprocess.run(
        [python, "-c", code],
        capture_output=True,
        text=True,
        user=65534,
        group=65534,
        extra_groups=[],
        cwd="/",
        env=environment,
    )
    shutil.rmtree("/tmp/qharness-nobody", ignore_errors=True)
    assert done.stdout.splitlines() == [sandbox.USER_NAMESPACE.name, "passed early-exit error passed", "passed"], done


def test_refuses_where_nothing_isolates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.delenv("QHARNESS_ALLOW_UNSANDBOXED", raising=False)
    with pytest.raises(SandboxError, match="install bubblewrap"):
        choose_isolation()
    assert choose_isolation(allow_unsandboxed=True).name == "none"
    monkeypatch.setenv("QHARNESS_ALLOW_UNSANDBOXED", "1")
    assert choose_isolation().name == "none"


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
    broken = sandbox.Isolation("broken", lambda readable, limits: ["false"])
    with pytest.raises(SandboxError, match="did not start"):
        SandboxWorker(get_registry().language("python"), broken).run(Program("python", ""))
