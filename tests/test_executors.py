"""What does a study's jobs: order, processes that die, locks, and what the user sees."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from qharness import RunSpec
from qharness.storage.locks import locked
from qharness.study.executors import Executor
from qharness.study.executors.in_process import InProcess
from qharness.study.executors.local import Local, shares, visible_gpus
from qharness.study.jobs import Attempt, Job, JobOutcome, perform
from qharness.study.live_view import Lines, LiveTable
from qharness.study.schedule import Schedule
from qharness.study.sweep import carry_out
from tests.conftest import REPOSITORY, still_running


def job(kind: str, task: str, output: Path, model: str = "m") -> Job:
    return Job(RunSpec(task=task, model=model, output=output), kind=f"tests.study_jobs:{kind}")


def carried_out(jobs: list[Job], executor: Executor) -> list[Attempt]:
    return carry_out(jobs, executor, Lines(jobs, 2))


def run(task: str, **options: object) -> Job:
    return Job(RunSpec(task=task, **options))  # type: ignore[arg-type]


def test_groups_share_a_model_and_wait_for_what_they_are_compared_with(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    bases = [run(task, compare=False) for task in "tu"]
    quantized = [run(task, quant=quant) for quant in ("rtn:3", "rtn:2") for task in "tu"]
    schedule = Schedule([*bases, *quantized])
    first = schedule.take()
    assert first and first.jobs == bases
    for each in bases:
        assert schedule.take() is None
        assert not schedule.end(each, JobOutcome(tmp_path))[0].error
    groups = [schedule.take(), schedule.take()]
    assert [each.jobs for each in groups if each] == [quantized[:2], quantized[2:]]
    assert schedule.take() is None and schedule.open


def test_what_is_compared_with_a_run_that_failed_fails_with_it() -> None:
    base, quantized, other = run("t", compare=False), run("t", quant="rtn:3"), run("t", model="x")
    schedule = Schedule([base, quantized, other])
    schedule.take()
    ended = schedule.end(base, JobOutcome(error="no memory"))
    assert [each.error for each in ended] == ["no memory", "what it is compared with failed: no memory"]
    group = schedule.take()
    assert group and group.jobs == [other] and schedule.take() is None


def test_a_large_schedule_asks_each_job_once_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its work grows with the jobs, not with their square; groups begin in their order, once what they need has ended."""
    (tmp_path / "run.json").write_text("{}")
    needs, asked = Job.needs.fget, []
    assert needs is not None
    monkeypatch.setattr(Job, "needs", property(lambda self: asked.append(self) or needs(self)))
    bases = [run(task, model=model, compare=False) for model in "xy" for task in "tuv"]
    quants = [f"rtn:4,group={size}" for size in range(1, 50)]
    quantized = [[run(task, model=model, quant=quant) for task in "tuv"] for model in "xy" for quant in quants]
    schedule = Schedule([*bases, *(each for group in quantized for each in group)])
    assert schedule.take() and schedule.take() and schedule.take() is None
    for each in bases:
        schedule.end(each, JobOutcome(tmp_path))
    begun = []
    while group := schedule.take():
        begun.append(group.jobs)
        for each in group.jobs:
            schedule.end(each, JobOutcome(tmp_path))
    assert begun == quantized and not schedule.open
    assert len(asked) == len(bases) + sum(map(len, quantized))


def test_what_another_process_is_at_comes_last_and_is_waited_for() -> None:
    jobs = [Job(RunSpec(task="t", model=model), kind="x") for model in "abc"]
    schedule = Schedule(jobs)
    first = schedule.take()
    assert first and not first.wait
    assert schedule.end(first.jobs[0], JobOutcome(busy="by another")) == []
    groups = [schedule.take() for _ in range(3)]
    assert [(each.jobs[0].spec.model, each.wait) for each in groups if each] == [
        ("b", False),
        ("c", False),
        ("a", True),
    ]


@pytest.mark.parametrize("executor", [InProcess(), Local(2)], ids=["here", "local"])
def test_mistakes_and_bugs_are_reported_and_the_rest_goes_on(
    executor: Executor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [job("fail", "mistake", tmp_path), job("fail", "bug", tmp_path), job("write", "t", tmp_path, "other")]
    attempts = carried_out(jobs, executor)
    assert [each.error for each in attempts] == ["no such thing", "ZeroDivisionError: by nought", ""]
    assert attempts[2].path and attempts[2].path.is_file()
    said = capsys.readouterr().err
    assert "in fail" in said and "writing t" in said and "failed: no such thing" in said


def test_workers_share_the_machine_and_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QHARNESS_CORES", "5")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    jobs = [job("write", f"t{n}", tmp_path, "a" if n % 2 else "b") for n in range(6)]
    written = [each.path.read_text().split() for each in carried_out(jobs, Local(2)) if each.path]
    assert len({pid for pid, _ in written[::2]}) == len({pid for pid, _ in written[1::2]}) == 1
    assert {rest for _, rest in written} == {"2,2,-"}


def test_gpus_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3,5")
    gpus = visible_gpus()
    assert [each["CUDA_VISIBLE_DEVICES"] for each in shares(2, gpus)] == ["0,5", "3"]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in shares(4, gpus)] == ["0", "3", "5", "0"]
    assert Local().workers == 3 and shares(1, gpus) == [{}]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert visible_gpus() == [] and Local().workers == 1


def test_a_worker_that_dies_is_replaced_and_its_job_tried_once_more(tmp_path: Path) -> None:
    """And then reported; jobs behind it in its group are done all the same."""
    jobs = [job("die", "once", tmp_path), job("die", "twice", tmp_path), job("write", "t", tmp_path)]
    attempts = carried_out(jobs, Local(1))
    assert [each.error for each in attempts] == ["", "its process died twice (SIGKILL); of too little memory?", ""]


STUDY = """
import sys
from pathlib import Path
from tests.test_executors import carried_out, job
from qharness.study.executors.local import Local
carried_out([job("sleep", "t", Path(sys.argv[1]), model) for model in "ab"], Local(2))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_goes_on_when_a_study_is_stopped(number: signal.Signals, tmp_path: Path) -> None:
    """By Ctrl-C, or with SIGKILL and no time for farewells."""
    parent = subprocess.Popen([sys.executable, "-c", STUDY, tmp_path], cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    while len(found := list(tmp_path.glob("sleeps-*"))) < 2:
        assert parent.poll() is None
        time.sleep(0.05)
    workers = [psutil.Process(int(path.name.split("-")[1])) for path in found]
    parent.send_signal(number)
    parent.wait(timeout=20)
    assert not still_running(workers)


HOLDER = "import sys, time\nfrom pathlib import Path\nfrom qharness.storage.locks import locked\nwith locked(Path(sys.argv[1]), 'it'):\n    print('held', flush=True)\n    time.sleep(600)"


def test_a_lock_says_who_holds_it_and_goes_with_its_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with (
        pytest.raises(Exception, match=f"it is being made by process {holder.pid} on "),
        locked(path, "it", wait=False),
    ):
        pass
    subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {holder.pid}"])
    with locked(path, "it"):
        assert holder.wait() == -signal.SIGKILL
    assert capsys.readouterr().err.count(f"it is being made by process {holder.pid}") == 1
    holder.stdout.close()


def test_a_run_that_another_process_makes_is_left_or_waited_for(random_llama: Path, tmp_path: Path) -> None:
    spec = RunSpec(task="warmup-python", model=str(random_llama), limit=1, samples=1, max_new_tokens=5, output=tmp_path)
    from qharness.study.jobs import Memory

    memory = Memory()
    done = perform(Job(spec), memory, wait=True)
    assert done.path
    (done.path / "run.json").unlink()
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, done.path / ".lock"], stdout=subprocess.PIPE, text=True)
    assert holder.stdout and holder.stdout.readline()
    assert f"{done.path} is being made by process {holder.pid}" in perform(Job(spec), memory, wait=False).busy
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert perform(Job(spec), memory, wait=False) == done


def test_the_live_table_shows_each_job(tmp_path: Path) -> None:
    from rich.console import Console

    jobs = [Job(RunSpec(task=f"t{n}", output=tmp_path)) for n in range(20)]
    said: list[str] = []
    table = LiveTable(jobs, said.append, height=16)
    for each in jobs[:10]:
        table.began(each)
        table.ended(Attempt(each))
    table.began(jobs[10])
    table.moved(jobs[10], "generate", 12, 60)
    table.began(jobs[11])
    table.ended(Attempt(jobs[11], error="no memory"))
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(table)
    shown = console.export_text()
    assert "generate 12/60" in shown and "failed" in shown and "waiting" in shown
    assert " t11 " in shown and " t10 " in shown and " t7 " not in shown and "10 of 20 done, 1 failed" in shown
    assert said == ["failed: no memory"]
