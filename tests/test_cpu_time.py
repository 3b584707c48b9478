"""Limits on time are a program's own: its CPU time, whoever waits for its processes, and its own sleeping."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from qharness import Limits, Outcome, Program, Status
from qharness.execution import cgroups, choose_isolation, run_programs, sandbox
from qharness.execution.jail import process_tree
from qharness.execution.jail.process_tree import ProcessTree, patience
from qharness.execution.worker import SandboxWorker
from qharness.registry import get_registry

NO_CGROUP = "no cgroup of version 2 in which we may make others"
BURN = "def burn(s):\n  end = time.process_time() + s\n  while time.process_time() < end: pass\n"
HEAD = f"import os, signal, sys, time\n{BURN}"

# Each takes two seconds of CPU time or more in processes that nobody waits for.
UNWAITED = {
    "ended": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nfor _ in range(12):\n  if os.fork() == 0: burn(0.2); os._exit(0)\n  time.sleep(0.3)",
    "killed": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nfor _ in range(12):\n  if (pid := os.fork()) == 0: burn(60)\n  time.sleep(0.35)\n  os.kill(pid, 9)",
    "orphans": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nfor _ in range(12):\n  if os.fork() == 0:\n    if os.fork() == 0: os.setsid(); burn(0.2)\n    os._exit(0)\n  time.sleep(0.3)",
    "each the child of the last": "end = time.time() + 60\nif os.fork() == 0:\n  while time.time() < end:\n    burn(0.15)\n    if os.fork(): os._exit(0)\ntime.sleep(4)",
}  # fmt: skip


def run(source: str, limits: Limits, isolation: sandbox.Isolation | None = None) -> Outcome:
    program = Program("python", source)
    return run_programs([program], get_registry().language, isolation or choose_isolation(), limits=limits)[0]


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Processes of others that are always busy."""
    busy = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in busy:
            each.kill()
            each.wait()


@pytest.fixture(params=["counted by the kernel", "looked at"])
def count(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How CPU time is known: by cgroups, where we may make some, and without."""
    if request.param == "looked at":
        monkeypatch.setattr(cgroups, "delegated", lambda: None)
    elif cgroups.delegated() is None:
        pytest.skip(NO_CGROUP)
    return str(request.param)


@pytest.mark.parametrize("case", UNWAITED)
@pytest.mark.usefixtures("count")
def test_cpu_time_of_processes_that_nobody_waits_for(case: str) -> None:
    outcome = run(HEAD + UNWAITED[case], Limits(cpu_seconds=1, wall_seconds=20.0))
    assert (outcome.status, outcome.detail) == (Status.TIMEOUT, "1 s of CPU time")


@pytest.mark.usefixtures("count")
def test_processes_too_short_lived_to_be_seen() -> None:
    """Most are born and gone between two looks: those that a look finds stand for them."""
    source = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nwhile True:\n  if os.fork() == 0: burn(0.005); os._exit(0)\n  time.sleep(0.004)"
    outcome = run(HEAD + source, Limits(cpu_seconds=1, wall_seconds=60.0))
    assert (outcome.status, outcome.detail) == (Status.TIMEOUT, "1 s of CPU time")
    assert outcome.seconds < 15


@pytest.mark.skipif(cgroups.delegated() is None, reason=NO_CGROUP)
def test_the_kernel_counts_what_no_look_can_see() -> None:
    """1.3 s in processes of 4 ms and their forks, most of which no look finds; a fifth of that is within the limit."""
    source = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\nfor _ in range({}):\n  if os.fork() == 0: burn(0.004); os._exit(0)\n  time.sleep(0.006)\ntime.sleep(0.3)"
    programs = [Program("python", HEAD + source.format(count)) for count in (325, 60)]
    limits = Limits(cpu_seconds=1, wall_seconds=60.0)
    outcomes = run_programs(programs, get_registry().language, choose_isolation(), limits=limits)
    assert [outcome.status for outcome in outcomes] == ["timeout", "passed"], outcomes


@pytest.mark.skipif(cgroups.delegated() is None, reason=NO_CGROUP)
def test_a_workers_cgroup_ends_with_it() -> None:
    folder = cgroups.delegated()
    assert folder is not None
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    left = folder / f"qharness-{gone.pid}-0"  # by a qharness that was killed
    left.mkdir()
    worker = SandboxWorker(get_registry().language("python"), choose_isolation())
    assert worker.run(Program("python", "x = 1")).passed
    assert worker._spawner._cgroup
    own = worker._spawner._cgroup.folder
    assert own.exists() and not left.exists()
    worker.close()
    assert not own.exists()


def test_what_cannot_enter_a_cgroup_runs_without(tmp_path: Path) -> None:
    """A folder that is none, or none any more."""
    code = (
        f"import os, sys; sys.path.append({str(sandbox.JAIL)!r}); import process_tree; print(process_tree.is_counted())"
    )
    for folder in (tmp_path, tmp_path / "gone"):
        argv = cgroups.Cgroup(folder).entering([sys.executable, "-S", "-c", code])
        assert subprocess.run(argv, capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("cgroup", "mount", "folder"),
    [
        ("3:cpu:/\n0::/\n", "31 24 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw", "/sys/fs/cgroup/unified"),
        ("0::/a.slice/b.scope\n", "31 24 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw", "/sys/fs/cgroup/a.slice/b.scope"),
        ("0::/docker/1f/work\n", "31 24 0:27 /docker/1f /sys/fs/cgroup rw - cgroup2 cgroup rw", "/sys/fs/cgroup/work"),
        ("0::/../other\n", "31 24 0:27 /docker/1f /sys/fs/cgroup rw - cgroup2 cgroup rw", None),
        ("0::/a\n", "31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu", None),
        ("3:cpu:/\n", "31 24 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw", None),
    ],
)  # fmt: skip
def test_where_our_own_cgroup_is(cgroup: str, mount: str, folder: str | None) -> None:
    proc = "22 24 0:20 / /proc rw - proc proc rw\n"
    assert cgroups._own_folder(cgroup, f"{proc}{mount}\n") == (Path(folder) if folder else None)


def test_cpu_time_is_counted_once() -> None:
    """Never more than the kernel says when all is over, though a process's time comes back in that of its parent."""
    forks = "for _ in range(12):\n  if (pid := os.fork()) == 0:\n    if os.fork() == 0: burn(0.04); os._exit(0)\n    burn(0.04); os.wait(); os._exit(0)\n  burn(0.02); os.waitpid(pid, 0)"
    process = subprocess.Popen([sys.executable, "-S", "-c", HEAD + forks])
    tree, seen = ProcessTree(process.pid), [0.0]
    while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        seen.append(tree.look().cpu_seconds)
        time.sleep(0.03)
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0
    total = used.ru_utime + used.ru_stime
    assert seen == sorted(seen)
    assert 0.7 * total < seen[-1] <= total + 0.02, (seen[-1], total)


def test_a_process_that_ends_while_it_is_looked_at_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row is read before it is waited for, and its parent's after that; as where pids begin anew."""

    def row(pid: int, own: int, waited: int) -> process_tree._Process:
        return process_tree._Process(pid, b"S", pid - 1, 1, own, waited, threads=1, started=pid, resident=0)

    begun = [row(1, 5, 0), row(2, 10, 0)]
    readings = iter([begun, begun, [row(1, 5, 60), row(2, 50, 0)], [row(1, 5, 60)], [row(1, 5, 60)]])
    monkeypatch.setattr(process_tree, "_processes", lambda _: next(readings))
    tree = ProcessTree(1)
    found = [tree.look().cpu_seconds * process_tree._TICKS for _ in range(2)]
    assert found == pytest.approx([15, 65])


def test_a_programs_own_load_does_not_lengthen_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen busy processes of its own make the machine busy for others, and not for itself."""
    monkeypatch.setattr(process_tree, "_MOST_PATIENCE", 1000.0)  # which others' load beside ours may reach
    code = "import os\nfor _ in range(4): os.fork()\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True)
    try:
        time.sleep(0.5)
        tree = ProcessTree(process.pid)
        looks = [(tree.look().stretch, patience(), time.sleep(0.02)) for _ in range(25)]
    finally:
        os.killpg(process.pid, 9)
        process.wait()
    own, others = (sum(look[at] for look in looks) / len(looks) for at in (0, 1))  # type: ignore[misc]
    cpus = len(os.sched_getaffinity(0))
    assert others > 12 / cpus and own < others - 8 / cpus, (own, others)


def test_waiting_for_a_processor_is_not_sleeping() -> None:
    """A program that needs more wall time than it may sleep, for others are busy or because it never sleeps."""
    source = HEAD + "burn(0.7)"
    assert run(source, Limits(cpu_seconds=2, wall_seconds=0.4)).passed
    with neighbours(6):
        assert run(source, Limits(cpu_seconds=2, wall_seconds=0.4)).passed


def test_a_sleeper_is_not_waited_for_on_a_busy_machine() -> None:
    with neighbours(8):
        outcome = run("import time; time.sleep(60)", Limits(cpu_seconds=1, wall_seconds=1.0))
    assert (outcome.status, outcome.detail) == (Status.TIMEOUT, "1 s of wall time")
    assert outcome.seconds < 3


def test_time_in_which_the_machine_stood_still_is_no_ones() -> None:
    """All that the worker has stops for longer than the wall limit, and goes on."""
    worker = SandboxWorker(get_registry().language("python"), choose_isolation(), Limits(wall_seconds=3.0))
    assert worker.run(Program("python", "x = 1")).passed
    assert worker._spawner._process
    root = psutil.Process(worker._spawner._process.pid)

    def stop() -> None:
        stopped = root.children(recursive=True)
        for process in stopped:
            process.suspend()
        time.sleep(3.5)
        for process in stopped:
            process.resume()

    threading.Timer(0.2, stop).start()
    outcome = worker.run(Program("python", "import time\nfor _ in range(100): time.sleep(0.01)"))
    worker.close()
    assert outcome.passed and outcome.seconds > 3.5, outcome


def test_a_program_that_kills_itself_late_has_not_run_out_of_time() -> None:
    source = "import os, signal, time; time.sleep(1.2); os.kill(os.getpid(), signal.SIGKILL)"
    outcome = run(source, Limits(cpu_seconds=1, wall_seconds=10.0), sandbox.NONE)
    assert outcome.status is Status.ERROR, outcome


@pytest.mark.parametrize("busy", [0, 6])
def test_the_cpu_limit_is_the_same_on_a_busy_machine(busy: int) -> None:
    """The kernel's own limit counts by ticks, and kills after three quarters of the time, or less, on a busy one."""
    limits = Limits(cpu_seconds=1, wall_seconds=10.0)
    with neighbours(busy):
        assert [run(HEAD + f"burn({seconds})", limits).status for seconds in (0.9, 1.3)] == ["passed", "timeout"]
