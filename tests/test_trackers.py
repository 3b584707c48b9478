"""Finished runs in experiment trackers: what is logged, that a tracker harms no run, and a real server of MLflow's."""

from __future__ import annotations

import http.client
import json
import math
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from qharness import RunSpec
from qharness.results import RunResult
from qharness.study import trackers
from qharness.study.executors.in_process import InProcess
from qharness.study.jobs import Attempt, Job
from qharness.study.live_view import Lines
from qharness.study.sweep import carry_out
from qharness.study.trackers import TRACKERS, TrackedRun, Tracker
from qharness.study.tracking import track_runs, tracked_run, tracked_study
from tests.conftest import REPOSITORY
from tests.report_runs import write_run
from tests.test_cli import Cli, in_process, one_line

__all__ = ["in_process"]
SPEC = RunSpec("made-python", "coder", quant="rtn:3", samples=2, temperature=0.2, device="cpu", dtype="float32")
SENTENCE = "rtn:3 holds: 62.5 -> 62.5% pass@1 on made-python"


def finished(top: Path, spec: RunSpec = SPEC, passes: int = 5, **metrics: float | None) -> RunResult:
    """A finished run of eight problems, of which the first pass, that holds."""
    folder = write_run(top, spec, [[n < passes] * 2 for n in range(8)], storage=1_000_000)
    folder = folder.rename(folder.parent / f"{folder.name}--0123456789ab")
    document = json.loads((folder / "run.json").read_text())
    document["verdict"] = {
        "class": "holds", "max_loss": 2, "loss": {"estimate": 0.0, "lower95": -1.0, "upper95": 1.5}, "sentence": SENTENCE,
    }  # fmt: skip
    document["metrics"][spec.task] |= metrics
    (folder / "run.json").write_text(json.dumps(document))
    return RunResult(folder, document)


def test_what_is_logged_of_a_run(tmp_path: Path) -> None:
    run = tracked_run(finished(tmp_path, **{"pass@5": None, "bleu-4": 0.5}))
    assert (run.name, run.key) == ("rtn:3 on made-python", "0123456789ab")
    assert (
        run.parameters["model"] == "coder" and run.parameters["temperature"] == 0.2 and run.parameters["chat"] is False
    )
    assert "limit" not in run.parameters and "calib" not in run.parameters  # None: the default
    assert run.metrics["pass_at_1"] == 0.625 and run.metrics["bleu_4"] == 0.5 and "pass_at_5" not in run.metrics
    assert 0.1 < run.metrics["pass_at_1_low95"] < 0.625 < run.metrics["pass_at_1_high95"] < 1
    assert (run.metrics["loss"], run.metrics["loss_upper95"], run.metrics["storage_bytes"]) == (0, 1.5, 1_000_000)
    assert all(math.isfinite(value) and name.replace("_", "a").isalnum() for name, value in run.metrics.items())
    assert run.tags == {"verdict": "holds", "verdict_sentence": SENTENCE}
    assert run.document.name == "run.json" and json.loads(run.document.read_text())["spec"]["quant"] == "rtn:3"


def test_a_tracker_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
    in_process: Cli,
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(trackers.TRACKERS, "mlflow", Tracker("no_such_tracker", print))  # type: ignore[arg-type]
    file = tmp_path / "s.toml"
    file.write_text('tasks = ["tiny-python"]\n')
    for words in (
        ["run", "--task", "tiny-python", "--output", tmp_path / "out"],
        ["study", file, "--output", tmp_path / "out"],
    ):
        said = "no_such_tracker is needed: pip install 'qharness[no_such_tracker]'"
        one_line(in_process(*words, "--track", "mlflow"), said)
    assert not (tmp_path / "out").exists()
    one_line(in_process("run", "--task", "tiny-python", "--track", "excel"), "--track", "wandb")


def test_each_tracker_has_an_extra() -> None:
    extras = (REPOSITORY / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1].split("\n[")[0]
    for name, tracker in TRACKERS.items():
        assert name == tracker.package and f"\n{name} = [" in extras


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A tracker that takes one run and then fails, and prints to standard output."""
    taken: list[str] = []

    def log(run: TrackedRun) -> None:
        sys.stdout.write("chatter\n")
        taken.append(run.key)
        if len(taken) > 1:
            raise ConnectionError("no route to host\nand more")

    monkeypatch.setitem(trackers.TRACKERS, "mlflow", Tracker("json", log))  # type: ignore[arg-type]
    return taken


def test_a_tracker_that_fails_says_so_once(
    broken: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = finished(tmp_path / "a")
    results = [RunResult(run.folder, run.document, baseline) for run in map(finished, (tmp_path / "b", tmp_path / "c"))]
    track_runs("mlflow", results)
    out, err = capsys.readouterr()
    assert len(broken) == 2 and out == ""
    notes = [line for line in err.splitlines() if line.startswith("note:")]
    assert notes == [
        "note: mlflow takes no runs: ConnectionError: no route to host; the runs are whole, and the same command logs them later"
    ]


def test_a_study_goes_on_without_its_tracker(
    broken: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [Job(RunSpec(task=f"t{n}", model="m", output=tmp_path), kind="tests.study_jobs:write") for n in range(2)]
    runs = [finished(tmp_path / f"{n}") for n in range(4)]
    with tracked_study("mlflow", Lines(jobs)) as watcher:
        attempts = carry_out(jobs, InProcess(), watcher)
        for run in runs:  # whose results are files here, so runs are handed in beside them
            watcher.ended(Attempt(jobs[0], run))
    assert all(attempt.path and attempt.path.is_file() for attempt in attempts)
    assert len(broken) == 2 and capsys.readouterr().err.count("takes no runs") == 1


def test_ctrl_c_waits_for_no_tracker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(trackers.TRACKERS, "mlflow", Tracker("json", lambda run: time.sleep(60)))  # type: ignore[arg-type]
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), tracked_study("mlflow", Lines([])) as watcher:
        watcher.ended(Attempt(Job(SPEC), finished(tmp_path)))
        raise KeyboardInterrupt
    assert time.monotonic() - began < 30


def test_no_tracker_no_thread() -> None:
    inner = Lines([])
    with tracked_study(None, inner) as watcher:
        assert watcher is inner


# --------------------------------------------------------------------------------------------------------- real trackers


def python_with(package: str) -> str:
    """A Python that has the tracker and qharness: this one, or the one that QHARNESS_TEST_TRACKERS names; or skip."""
    if find_spec(package):
        return sys.executable
    named = os.environ.get("QHARNESS_TEST_TRACKERS")
    if not named:
        pytest.skip(f"needs {package}: here, or in the Python that QHARNESS_TEST_TRACKERS names")
    return named


def run_tracked(python: str, name: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`run` two problems of the bundled model, quantized and not, with its runs logged."""
    words = [
        "--task",
        "tiny-python",
        "--quant",
        "rtn:3",
        "--limit",
        "2",
        "--samples",
        "2",
        "--output",
        "runs",
        "--json",
    ]
    return subprocess.run(
        [python, "-m", "qharness", "run", *words, "--track", name],
        capture_output=True, text=True, cwd=folder, env={**os.environ, **environment}, timeout=600, check=False,
    )  # fmt: skip


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    """The address of a real server."""
    python = python_with("mlflow")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        *(python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *(
            "--backend-store-uri",
            f"sqlite:///{tmp_path}/mlflow.db",
            "--artifacts-destination",
            str(tmp_path / "artifacts"),
        ),
    ]
    with (tmp_path / "server.log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(300):
                try:
                    urllib.request.urlopen(f"{url}/health", timeout=5).close()
                    break
                except (OSError, http.client.HTTPException):
                    assert server.poll() is None, (tmp_path / "server.log").read_text()[-2000:]
                    time.sleep(0.5)
            yield url
        finally:
            server.terminate()


def asked(url: str, path: str, body: object = None) -> Any:
    """The answer of MLflow's REST interface."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_a_real_server_of_mlflow(mlflow_server: str, tmp_path: Path) -> None:
    """Two runs, with all that the page says; the same command again logs no third."""
    for _ in range(2):
        done = run_tracked(python_with("mlflow"), "mlflow", tmp_path, MLFLOW_TRACKING_URI=mlflow_server)
        assert done.returncode == 0 and "takes no runs" not in done.stderr, done.stderr
        document = json.loads(done.stdout)
    (experiment,) = [
        each
        for each in asked(mlflow_server, "api/2.0/mlflow/experiments/search", {"max_results": 10})["experiments"]
        if each["name"] == "qharness"
    ]
    found = asked(mlflow_server, "api/2.0/mlflow/runs/search", {"experiment_ids": [experiment["experiment_id"]]})[
        "runs"
    ]
    runs = {each["info"]["run_name"]: each for each in found}
    assert len(found) == 2 and set(runs) == {"none on tiny-python", "rtn:3 on tiny-python"}
    data = {
        kind: {each["key"]: each["value"] for each in runs["rtn:3 on tiny-python"]["data"][kind]}
        for kind in ("params", "metrics", "tags")
    }
    assert data["metrics"]["pass_at_1"] == document["metrics"]["tiny-python"]["pass@1"]
    assert data["params"]["quant"] == "rtn:3" and data["params"]["limit"] == "2"
    assert data["tags"]["verdict"] == document["verdict"]["class"]
    for each in found:
        assert each["info"]["status"] == "FINISHED"
        listed = asked(mlflow_server, f"api/2.0/mlflow/artifacts/list?run_id={each['info']['run_id']}")["files"]
        assert [file["path"] for file in listed] == ["run.json"] and int(listed[0]["file_size"]) > 1000


@pytest.mark.slow
def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    """The run is whole, its document is printed, and a note says what the tracker said."""
    gone = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
    done = run_tracked(python_with("mlflow"), "mlflow", tmp_path, **gone)
    assert done.returncode == 0 and done.stderr.count("note: mlflow takes no runs") == 1, done.stderr
    assert json.loads(done.stdout)["metrics"] and len(list((tmp_path / "runs").glob("*/run.json"))) == 2


@pytest.mark.slow
def test_wandb_offline(tmp_path: Path) -> None:
    done = run_tracked(python_with("wandb"), "wandb", tmp_path, WANDB_MODE="offline", WANDB_DIR=str(tmp_path))
    assert done.returncode == 0 and "takes no runs" not in done.stderr, done.stderr
    assert json.loads(done.stdout)["metrics"]
    keys = sorted(path.parent.name[-12:] for path in (tmp_path / "runs").glob("*/run.json"))
    assert sorted(path.name[-12:] for path in (tmp_path / "wandb").glob("offline-run-*")) == keys


@pytest.mark.slow
def test_trackio_and_its_local_database(tmp_path: Path) -> None:
    import sqlite3

    done = run_tracked(python_with("trackio"), "trackio", tmp_path, TRACKIO_DIR=str(tmp_path / "trackio"))
    assert done.returncode == 0 and "takes no runs" not in done.stderr, done.stderr
    document = json.loads(done.stdout)
    with sqlite3.connect(tmp_path / "trackio/qharness.db") as database:
        rows = database.execute("select run_name, metrics from metrics").fetchall()
    logged = {name.rpartition("-")[0]: json.loads(metrics) for name, metrics in rows}
    assert set(logged) == {"none on tiny-python", "rtn:3 on tiny-python"}
    assert logged["rtn:3 on tiny-python"]["pass_at_1"] == document["metrics"]["tiny-python"]["pass@1"]
