"""What happens when a worker's process dies, hangs or is interrupted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from qharness import Limits, Program, Status
from qharness.execution import choose_isolation
from qharness.execution.worker import SandboxWorker
from qharness.registry import get_registry
from tests.conftest import still_running


@pytest.fixture
def worker() -> SandboxWorker:
    return SandboxWorker(get_registry().language("python"), choose_isolation(), Limits(wall_seconds=5.0))


def spawner(worker: SandboxWorker) -> psutil.Process:
    """The worker's process, as the host sees it."""
    assert worker._spawner._process
    return psutil.Process(worker._spawner._process.pid)


def test_a_spawner_that_died_is_replaced_and_the_program_run_again(worker: SandboxWorker) -> None:
    assert worker.run(Program("python", "x = 1")).passed
    first, processes = worker._spawner._process, [spawner(worker), *spawner(worker).children(recursive=True)]
    processes[0].kill()
    assert first and first.wait()
    psutil.wait_procs(processes[1:], timeout=30)  # these end after it, and answer until then
    assert worker.run(Program("python", "assert False")).status is Status.FAILED
    assert worker._spawner._process  # which may have ended: what failed was run once more, in a fresh one
    assert worker._spawner._process is not first  # pids come again
    worker.close()


def test_a_spawner_killed_while_a_program_runs(worker: SandboxWorker) -> None:
    """The program is run once more, and is not found guilty of what befell its worker."""
    assert worker.run(Program("python", "x = 1")).passed
    first = spawner(worker)
    threading.Timer(0.5, first.kill).start()
    assert worker.run(Program("python", "import time; time.sleep(1.2)")).passed
    worker.close()


def test_a_spawner_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qharness.execution.servers.patience", lambda: 1.0)
    worker = SandboxWorker(get_registry().language("python"), choose_isolation(), Limits(wall_seconds=1.0))
    worker._spawner.seconds = 2.0
    assert worker.run(Program("python", "x = 1")).passed
    stopped = spawner(worker)
    for process in (stopped, *stopped.children(recursive=True)):
        process.suspend()
    assert worker.run(Program("python", "assert False")).status is Status.FAILED
    assert not stopped.is_running()
    worker.close()


def test_files_that_a_program_left_are_not_seen_by_the_next(worker: SandboxWorker) -> None:
    leave = "import os\nopen('mine', 'w').write('x'); os.makedirs('a/b/c'); os.chmod('a', 0)\nos.symlink('/', 'root')"
    assert worker.run(Program("python", leave)).passed
    assert worker.run(Program("python", "import os; assert os.listdir('/tmp') == []")).passed
    worker.close()


def test_processes_are_replaced_now_and_then(worker: SandboxWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qharness.execution.servers._MOST_ANSWERS", 2)
    pids = []
    for _ in range(4):
        assert worker.run(Program("python", "x = 1")).passed
        pids.append(spawner(worker).pid)
    assert pids[0] == pids[1] != pids[2] == pids[3]
    worker.close()


def running(pid: int, seconds: float = 2) -> list[psutil.Process]:
    """A process's sandboxes, some seconds after there are any: it has to import, and may have a harness to compile."""
    for _ in range(600):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(child.name() == "bwrap" for child in psutil.Process(pid).children(recursive=True)):
                time.sleep(seconds)
                return psutil.Process(pid).children(recursive=True)
        time.sleep(0.1)
    raise AssertionError("no sandbox was started")


def wait_for_rest(pid: int) -> None:
    """Until a process and all it started take hardly any CPU time: what programs are left sleep."""
    used = -1.0
    while (now := _cpu_seconds(pid)) > used + 0.08:
        used = now
        time.sleep(1.5)


def _cpu_seconds(pid: int) -> float:
    total = 0.0
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times())  # with that of children it has waited for
    return total


@pytest.mark.parametrize("language", ["python", "java"])
def test_ctrl_c_stops_at_once_and_leaves_nothing(language: str, tmp_path: Path) -> None:
    source = {
        "python": "import time; time.sleep(60)",
        "java": "class Main { public static void main(String[] a) throws Exception { Thread.sleep(60000); } }",
    }[language]
    code = (
        "import sys, qharness\nprint('ready', flush=True)\n"
        f"qharness.execute_programs({language!r}, [{source!r} + ' ' * n for n in range(8)], workers=2)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    children = running(process.pid)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    process.wait(timeout=60)
    seconds = time.monotonic() - start
    assert not still_running(children, 5)
    assert seconds < 20, seconds  # a second on a machine with nothing else to do; the programs would take minutes
    process.stdout.close()


@pytest.mark.long
def test_an_interrupted_score_starts_again_where_verdicts_end(tmp_path: Path, data_dir: Path) -> None:
    """Verdicts found before Ctrl-C are kept: the second run does not run those programs again."""
    rows = [{"task_id": f"HumanEval/{n % 164}", "completion": f"    pass  # {n}\n"} for n in range(164)]
    rows += [{"task_id": "HumanEval/163", "completion": f"    import time; time.sleep(60)  # {n}\n"} for n in range(4)]
    samples = tmp_path / "samples.jsonl"
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [
        str(Path(sys.executable).with_name("qharness")),
        "score",
        "--task",
        "humaneval",
        "--samples",
        str(samples),
    ]
    environment = {**os.environ, "QHARNESS_CACHE_DIR": str(tmp_path / "cache"), "QHARNESS_DATA_DIR": str(data_dir)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    running(process.pid, seconds=0)
    wait_for_rest(process.pid)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows[:164]))
    done = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["cached"] == 164
