"""Runs that are interrupted, and runs that go on from others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qharness import run
from qharness.evaluate.run.run_folder import JOURNAL, Journal, completions_in
from tests.test_run import lines, spec


@pytest.mark.long
@pytest.mark.parametrize("quant", ["none", "int8-dynamic:activations=tensor"])
def test_an_interrupted_run_resumes_to_the_same_samples(quant: str, memorized: Path, tmp_path: Path) -> None:
    whole = run(spec(memorized, tmp_path / "a", quant=quant, compare=False, batch_size=5))
    journal = (whole.folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    torn = tmp_path / "b" / whole.folder.name
    torn.mkdir(parents=True)
    (torn / "journal.jsonl").write_bytes(b"".join(journal[:13]) + journal[13][:17])
    resumed = run(spec(memorized, tmp_path / "b", quant=quant, compare=False, batch_size=5))
    assert resumed.folder == torn
    assert lines(torn / "samples.jsonl") == lines(whole.folder / "samples.jsonl")
    kept = (torn / "journal.jsonl").read_bytes().splitlines(keepends=True)
    assert kept[:13] == journal[:13] and len(kept) >= len(journal)


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import lm_eval, transformers, torch
from qharness import RunSpec, run
from qharness.evaluate.run.lm_eval_bridge import load_task
model, output = sys.argv[1], Path(sys.argv[2])
spec = RunSpec(task="warmup-python", model=model, output=output, max_new_tokens=150, samples=20, batch_size=3)
# A child for each attempt, forked before torch has threads; it is killed at some moment after none to two more batches.
rng, killed = random.Random(0), 0

def written():
    return sum(path.stat().st_size for path in output.glob("*/journal.jsonl"))

for attempt in range(60):
    child = os.fork()
    if not child:
        torch.set_num_threads(1)
        run(spec)
        os._exit(0)
    status, sizes, more = None, {written()}, rng.randrange(3)
    end = time.monotonic() + rng.uniform(0.1, 1.0)
    while status is None and (time.monotonic() < end if not more else len(sizes) <= more):
        pid, found = os.waitpid(child, os.WNOHANG)
        status = found if pid else None
        sizes.add(written())
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.02))
    if status is None:
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
    if not os.WIFSIGNALED(status):
        break
    killed += 1
    if killed == 10:
        break
print("killed", killed)
run(spec)
"""


@pytest.mark.slow
def test_a_run_killed_at_ten_moments_ends_with_the_same_samples(memorized: Path, tmp_path: Path) -> None:
    """With SIGKILL, wherever it is."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, memorized, tmp_path / "killed"],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "killed 10" in done.stdout
    whole = run(spec(memorized, tmp_path / "whole", samples=20, batch_size=3))
    (folder,) = (tmp_path / "killed").iterdir()
    assert folder.name == whole.folder.name
    assert lines(folder / "samples.jsonl") == lines(whole.folder / "samples.jsonl")


def test_more_samples_keep_those_that_are_there(memorized: Path, tmp_path: Path) -> None:
    few = run(spec(memorized, tmp_path, samples=2, limit=3))
    more = run(spec(memorized, tmp_path, samples=5))
    assert more.folder != few.folder and (few.folder / "run.json").is_file()
    made = {(row["doc_id"], row["sample"]) for row in lines(more.folder / "journal.jsonl")}
    assert made == {(d, s) for d in range(6) for s in range(5)} - {(d, s) for d in range(3) for s in range(2)}
    at_once = run(spec(memorized, tmp_path / "other", samples=5))
    assert lines(at_once.folder / "samples.jsonl") == lines(more.folder / "samples.jsonl")


def test_journal_drops_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path).append([(0, 0, "sha", "one\n"), (0, 1, "sha", "two")])
    with path.open("ab") as file:
        file.write(b'{"doc_id": 1, "samp')
    journal = Journal(path)
    assert journal.completions == {(0, 0, "sha"): "one\n", (0, 1, "sha"): "two"}
    journal.append([(1, 0, "sha", "three")])
    assert len(Journal(path).completions) == 3


def test_a_completion_that_was_interrupted_as_it_was_written_counts_once(tmp_path: Path) -> None:
    for _ in range(2):
        Journal(tmp_path / JOURNAL).append([(0, 0, "sha", "one\n"), (0, 1, "sha", "one\n")])
    assert completions_in(tmp_path) == len(Journal(tmp_path / JOURNAL).completions) == 2
    assert completions_in(tmp_path / "none") == 0
