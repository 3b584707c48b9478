"""Studies that lose processes, on Ray and off it, and whose results are in object storage."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from qharness import QHarnessError, RunSpec, run
from qharness.evaluate.run.run_folder import read_run
from qharness.storage.locks import claimed_elsewhere
from qharness.study.executors.in_process import InProcess
from qharness.study.jobs import Job, Memory, perform
from qharness.study.remote import Remote, remote_of
from qharness.study.sweep import plan
from tests.test_executors import carried_out
from tests.test_run import lines


def spec(model: Path, output: Path, **options: Any) -> RunSpec:
    return RunSpec(task="warmup-python", model=str(model), output=output, max_new_tokens=150, **options)


def keys(folder: Path) -> list[tuple[int, int]]:
    return [(row["doc_id"], row["sample"]) for row in lines(folder / "journal.jsonl")]


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """A folder as if it were behind a URL, and this machine's part of it in a cache of its own."""
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("qharness.storage.lease_objects.SETTLE_S", 0.05)
    remote = remote_of(f"file://{tmp_path}/bucket/")
    assert remote
    return remote


def test_results_go_to_a_url_and_come_from_there(
    bucket: Remote, random_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that never saw them takes whole runs as they are, and resumes from the journals of others."""
    job = Job(spec(random_llama, bucket.folder, samples=2, limit=3), remote=bucket)
    (first,) = carried_out([job], InProcess())
    there = tmp_path / "bucket" / first.result.folder.name
    names = {"run.json", "results.json", "samples.jsonl", "journal.jsonl"}
    assert {path.name for path in there.iterdir()} == names
    assert read_run(there) == first.result.document
    stamp = (there / "run.json").stat().st_mtime_ns

    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "other machine"))
    there.joinpath("run.json").rename(tmp_path / "run.json")
    journal = (there / "journal.jsonl").read_bytes()
    (there / "journal.jsonl").write_bytes(b"".join(journal.splitlines(keepends=True)[:4]))
    job = Job(spec(random_llama, bucket.folder, samples=2, limit=3), remote=bucket)
    (resumed,) = carried_out([job], InProcess())
    assert (there / "journal.jsonl").read_bytes().startswith(b"".join(journal.splitlines(keepends=True)[:4]))
    assert sorted(keys(there)) == [(d, s) for d in range(3) for s in range(2)]
    assert resumed.result.metrics == first.result.metrics and (there / "run.json").stat().st_mtime_ns != stamp

    stamp = (there / "run.json").stat().st_mtime_ns
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "third machine"))
    monkeypatch.setattr("qharness.quantization.quantized_models.load_model", lambda *_: pytest.fail("loaded a model"))
    job = Job(spec(random_llama, bucket.folder, samples=2, limit=3), remote=bucket)
    (found,) = carried_out([job], InProcess())
    assert found.result.document == resumed.result.document and (there / "run.json").stat().st_mtime_ns == stamp


def test_journals_are_sent_as_they_grow(bucket: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qharness.study.remote._SECONDS_BETWEEN_JOURNALS", 0.05)
    there = tmp_path / "bucket/run/journal.jsonl"
    folder = bucket.folder
    (folder / "run").mkdir(parents=True)
    with bucket.synchronized(), claimed_elsewhere(folder / "run", wait=False):
        for text in ("one\n", "one\ntwo\n"):
            (folder / "run/journal.jsonl").write_text(text)
            end = time.monotonic() + 10
            while not there.is_file() or there.read_text() != text:
                assert time.monotonic() < end
                time.sleep(0.01)


def test_a_run_that_another_machine_makes_is_left(
    bucket: Remote, random_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And taken when it lets go, with what it sent."""
    options = {"samples": 1, "limit": 1}
    job = Job(spec(random_llama, bucket.folder, **options), remote=bucket)
    (planned,) = plan([job])
    assert planned.folder
    planned.folder.mkdir(parents=True)
    there = tmp_path / "bucket" / planned.folder.name
    with bucket.synchronized(), claimed_elsewhere(planned.folder, wait=False):
        assert [path.name for path in there.iterdir()] == [".lease"]
        monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "other machine"))
        other = Job(spec(random_llama, bucket.folder, **options), remote=bucket)
        outcome = perform(other, Memory(), wait=False)
        assert re.fullmatch(rf"{re.escape(bucket.url)}/\S+ is being made by process {os.getpid()} on \S+", outcome.busy)
        monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "cache"))
    assert not list(there.iterdir())
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "other machine"))
    assert perform(other, Memory(), wait=False).path and (there / "run.json").is_file()


def test_a_measurement_is_claimed_and_sent(bucket: Remote, tmp_path: Path) -> None:
    file = bucket.folder / "profile/of-a-model.json"
    file.parent.mkdir(parents=True)
    with bucket.synchronized(), claimed_elsewhere(file, wait=False):
        assert [path.name for path in (tmp_path / "bucket/profile").iterdir()] == [".of-a-model.json.lease"]
        file.write_text("{}")
    assert [path.name for path in (tmp_path / "bucket/profile").iterdir()] == ["of-a-model.json"]


def test_a_download_that_breaks_off_leaves_nothing(
    bucket: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "bucket/run"
    there.mkdir(parents=True)
    (there / "run.json").write_text("{}")

    def broken(_: object, source: str, target: str) -> None:
        Path(target).write_text("{")
        raise ConnectionError("lost")

    with monkeypatch.context() as patch, pytest.raises(ConnectionError):
        patch.setattr("fsspec.implementations.local.LocalFileSystem.get_file", broken)
        patch.setattr("qharness.storage.object_store.PATIENCE_S", 0.1)
        bucket.fetch("run")
    assert not list((bucket.folder / "run").iterdir())
    bucket.fetch("run")
    assert (bucket.folder / "run/run.json").read_text() == "{}"


def test_a_url_that_leads_nowhere_is_one_line() -> None:
    assert remote_of("runs") is None
    with pytest.raises(QHarnessError, match=r"^nothing://x: Protocol not known: nothing"):
        remote_of("nothing://x")


def kill_who_writes(folder: Path, killed: list[int]) -> None:
    """Kill the first process that has written some of a run's completions but not all."""
    while not killed:
        for journal in folder.glob("*/journal.jsonl"):
            if 10 < len(journal.read_bytes().splitlines()) < 100 and not (journal.parent / "run.json").exists():
                pid = int(re.findall(r"\d+", (journal.parent / ".lock").read_text())[0])
                psutil.Process(pid).kill()
                killed.append(pid)
                return
        time.sleep(0.005)


@pytest.mark.slow
def test_a_ray_of_two_workers_one_killed_midway(
    bucket: Remote, memorized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both executors' results are those of a run that nothing happened to; what was written is not made again."""
    from qharness.study.executors.ray import OnRay

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    options = {"samples": 20, "batch_size": 3, "compare": False}
    jobs = [Job(spec(memorized, bucket.folder, seed=seed, **options), remote=bucket) for seed in (0, 1)]
    killed: list[int] = []
    threading.Thread(target=kill_who_writes, args=(bucket.folder, killed), daemon=True).start()
    attempts = carried_out(jobs, OnRay(workers=2))
    assert len(killed) == 1 and not psutil.pid_exists(killed[0])
    for attempt, job in zip(attempts, jobs, strict=True):
        assert attempt.result, attempt.error
        there = tmp_path / "bucket" / attempt.result.folder.name
        assert len(keys(there)) == len(set(keys(there))) == 120
        whole = run(spec(memorized, tmp_path / "whole", seed=job.spec.seed, **options))
        assert lines(there / "samples.jsonl") == lines(whole.folder / "samples.jsonl")
        assert attempt.result.metrics == whole.metrics


@pytest.mark.slow
def test_two_studies_at_once_make_each_run_once(memorized: Path, tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(
        f'models = ["{memorized}"]\nquants = ["none", "rtn:3", "rtn:2"]\ntasks = ["warmup-python"]\n'
        "samples = 20\nbatch_size = 3\nmax_new_tokens = 150"
    )
    command = [str(Path(sys.executable).with_name("qharness")), "study", str(file), "--output", str(tmp_path / "runs")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    both = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(process.communicate()[1] for process in both)
    assert [process.returncode for process in both] == [0, 0], said
    assert len(re.findall("^running ", said, re.MULTILINE)) == 3, said
    for folder in (tmp_path / "runs").iterdir():
        assert len(keys(folder)) == len(set(keys(folder))) == 120
        assert {path.name for path in folder.iterdir()} == {
            "run.json", "results.json", "samples.jsonl", "journal.jsonl",
        }  # fmt: skip


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """A process and all that it started, workers and their sandboxes included."""
    tree = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for each in tree:
        try:
            each.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    process.wait()
    psutil.wait_procs(tree, timeout=10)


def written(folder: Path) -> int:
    """Bytes of all files of all runs."""
    return sum(path.stat().st_size for path in folder.glob("*/*") if path.suffix in (".json", ".jsonl"))


@pytest.mark.slow
def test_a_study_killed_at_ten_moments_ends_with_the_same_results(memorized: Path, tmp_path: Path) -> None:
    """With SIGKILL, parent and workers, anywhere between the first import and the last file."""
    file = tmp_path / "study.toml"
    file.write_text(
        f'models = ["{memorized}"]\nquants = ["rtn:3", "rtn:2"]\ntasks = ["warmup-python"]\nseeds = [0, 1]\n'
        "samples = 10\nbatch_size = 3\nmax_new_tokens = 150"
    )
    command = [str(Path(sys.executable).with_name("qharness")), "study", str(file), "--workers", "2", "--output"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    rng, killed, moments = random.Random(0), 0, []
    for _ in range(40):
        process = subprocess.Popen([*command, tmp_path / "killed"], env=environment, stdout=subprocess.DEVNULL)
        start, begun = time.monotonic(), written(tmp_path / "killed")
        early, more = rng.random() < 0.2, rng.uniform(0, 15_000)
        deadline = start + rng.uniform(0.2, 12.0)
        while process.poll() is None:
            if time.monotonic() > deadline if early else written(tmp_path / "killed") - begun > more:
                kill_tree(process)
                killed += 1
                moments.append((early, written(tmp_path / "killed")))
                break
            time.sleep(0.003)
        else:
            assert process.returncode == 0
            break
        if killed == 10:
            break
    assert killed == 10, moments
    subprocess.run([*command, tmp_path / "killed"], env=environment, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([*command, tmp_path / "whole"], env=environment, check=True, stdout=subprocess.DEVNULL)
    folders = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert len(folders) == 6 and folders == sorted(path.name for path in (tmp_path / "killed").iterdir())
    for name in folders:
        one, other = tmp_path / "whole" / name, tmp_path / "killed" / name
        assert lines(one / "samples.jsonl") == lines(other / "samples.jsonl")
        documents = [json.loads((folder / "run.json").read_text()) for folder in (one, other)]
        assert documents[0]["metrics"] == documents[1]["metrics"]
        pair = [document.get("baseline", {}) for document in documents]
        assert {**pair[0], "a": "", "b": ""} == {**pair[1], "a": "", "b": ""}
