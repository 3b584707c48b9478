"""Times of a busy machine: they are told from those of the model, and no sentence compares them."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from qharness import RunSpec, run
from qharness.models.generation_clock import GenerationClock
from qharness.results import Timings
from qharness.stats.judged_runs import ComparedRun

LOOP = "while True: pass"


def work(seconds: float) -> None:
    """Keep a processor for that much of this thread's own time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how long a thread waited")
def test_waiting_beside_busy_programs_is_told_from_sleep() -> None:
    clock = GenerationClock()
    own, everywhere = psutil.Process(), psutil.Process().cpu_affinity()
    own.cpu_affinity(everywhere[:1])
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(3)]
    try:
        with clock.running():
            work(0.3)
        busy = clock.waited
        with clock.running():
            time.sleep(0.5)
        assert busy > 0.3 and clock.waited - busy < 0.3 and clock.seconds > busy + 0.5
    finally:
        own.cpu_affinity(everywhere)
        for loop in loops:
            loop.kill()
            loop.wait()


def test_speeds_are_compared_only_where_neither_run_waited(random_llama: Path, tmp_path: Path) -> None:
    made = run(
        RunSpec(model=str(random_llama), quant="rtn:8", task="warmup-python", samples=1, limit=2, max_new_tokens=4,
                output=tmp_path)
    )  # fmt: skip
    timings = made.record.timings
    assert 0 <= timings.waited_s <= timings.generation_s or timings.waited_s != timings.waited_s
    assert made.baseline
    counted = [each.timings.tokens for each in (made.record, made.baseline.record)]
    assert counted == [8, 8], "two completions of four tokens by each model"
    idle, busy = Timings(9, 4.0, 8, 0.1, 80), Timings(9, 4.0, 8, 1.0, 80)
    hosting = replace(made.record.hosting, packed_bytes=None)
    records = [replace(each, timings=idle, hosting=hosting) for each in (made.record, made.baseline.record)]
    assert ComparedRun(*records).savings.faster == 1
    for place in (0, 1):
        changed = [replace(each, timings=busy if n == place else idle) for n, each in enumerate(records)]
        assert math.isnan(ComparedRun(*changed).savings.faster)


def test_a_model_that_simulates_has_no_speed_of_its_own(random_llama: Path, tmp_path: Path) -> None:
    made = run(RunSpec(model=str(random_llama), quant="rtn:8", task="warmup-python", samples=1, limit=2, max_new_tokens=4,
                       output=tmp_path))  # fmt: skip
    assert made.baseline and made.record.hosting.packed_bytes
    assert math.isnan(ComparedRun(made.record, made.baseline.record).savings.faster)


def test_shorter_answers_are_not_faster() -> None:
    full, shorter = Timings(9, 4.0, 8, 0.1, tokens=800), Timings(9, 2.0, 8, 0.1, tokens=400)
    assert shorter.faster_than(full) == 1
    assert replace(shorter, tokens=None).faster_than(full) == 2, "as older runs have it, by completion"
    assert math.isnan(Timings().faster_than(full)) and math.isnan(full.faster_than(Timings()))
