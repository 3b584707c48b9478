"""A study on a Ray cluster of three nodes on this machine, which die and come back."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qharness.errors import first_line
from tests.test_run import lines
from tests.test_scale import keys

pytestmark = pytest.mark.slow
RUNS, DEATHS = 40, 6


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster whose head does no work, and three nodes of one core each."""
    pytest.importorskip("ray", reason="pip install 'qharness[ray]'")
    from ray.cluster_utils import Cluster

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(3):
            made.add_node(num_cpus=1)
        made.wait_for_nodes()
        yield made
    finally:
        made.shutdown()


def finished(folder: Path) -> int:
    return len(list(folder.glob("*/run.json")))


def test_a_study_of_forty_runs_while_nodes_die_and_come_back(cluster: Any, random_llama: Path, tmp_path: Path) -> None:
    """Every fourth run, a node is killed with all that runs on it, and another one is added."""
    study, output = tmp_path / "study.toml", tmp_path / "runs"
    study.write_text(
        f'models = ["{random_llama}"]\nquants = ["none", "rtn:2", "rtn:3", "rtn:4"]\ntasks = ["warmup-python"]\n'
        f"seeds = {list(range(RUNS // 4))}\nsamples = 8\nmax_new_tokens = 100\n"
    )
    command = [sys.executable, "-m", "qharness", "study", str(study), "--output", str(output), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "QHARNESS_VERBOSITY": "NORMAL"}
    begun = time.monotonic()
    with (tmp_path / "out").open("wb") as out, (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            [*command, "--executor", "ray", "--ray-address", cluster.address], env=environment, stdout=out, stderr=said
        )
    rng, killed, begun_at = random.Random(0), 0, []
    while process.poll() is None:
        assert time.monotonic() - begun < 1500, (tmp_path / "said").read_text()[-3000:]
        if killed < DEATHS and finished(output) >= 2 + 4 * killed:
            at_work = sorted(cluster.worker_nodes, key=lambda node: node.unique_id)
            begun_at.append(len(list(output.glob("*/.lock"))))
            cluster.remove_node(rng.choice(at_work), allow_graceful=False)
            cluster.add_node(num_cpus=1)
            killed += 1
        time.sleep(0.2)
    told = (tmp_path / "said").read_text()
    again = re.findall(r"the Ray node of this job died; tried again \((\d) of 5\)", told)
    sys.stderr.write(
        f"{time.monotonic() - begun:.0f} s, {killed} nodes killed with {begun_at} runs begun, "
        f"jobs tried again: {len(again)}; {re.findall('the Ray task of this job.*', told)}\n"
    )
    assert process.returncode == 0, first_line(ValueError(told[-3000:]))
    assert killed >= DEATHS - 2 and again  # a fast machine may finish while nodes are added
    documents = json.loads((tmp_path / "out").read_text())
    assert len(documents) == RUNS and not [each for each in documents if "error" in each]
    folders = sorted(output.iterdir())
    assert len(folders) == RUNS == len({each["folder"] for each in documents})
    for folder in folders:
        assert sorted(keys(folder)) == [(problem, sample) for problem in range(6) for sample in range(8)]
    assert subprocess.run([*command[:-2], str(tmp_path / "whole")], env=environment, check=True, capture_output=True)
    for folder in folders:
        assert lines(folder / "samples.jsonl") == lines(tmp_path / "whole" / folder.name / "samples.jsonl")
