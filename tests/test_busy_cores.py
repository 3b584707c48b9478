"""OpenMP's threads spin briefly where other programs use the cores."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from qharness.cli.busy_cores import CoreUse, spins_where_busy

BESIDE = "import os, qharness.cli as cli; cli.spare_busy_cores(); print(os.environ.get('GOMP_SPINCOUNT'))"


@pytest.fixture
def busy_loops() -> Iterator[None]:
    """A busy loop on each core that this process may use."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


def spins(**environment: str) -> str:
    left = {name: text for name, text in os.environ.items() if name not in ("OMP_NUM_THREADS", "GOMP_SPINCOUNT")}
    command = [sys.executable, "-c", BESIDE]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=left | environment).stdout.strip()


@pytest.mark.long
@pytest.mark.skipif(CoreUse.now() is None, reason="only Linux says how busy its cores are")
def test_beside_busy_loops_threads_spin_briefly_unless_the_user_says_otherwise(busy_loops: None) -> None:
    assert spins() == "1000"
    assert spins(GOMP_SPINCOUNT="7") == "7"
    assert spins(OMP_WAIT_POLICY="ACTIVE") == "None"


@pytest.mark.parametrize(
    ("others", "cores", "threads", "briefly"),
    [
        (0.0, 2, "", False),
        (0.1, 2, "", False),
        (1.0, 2, "", True),
        (1.0, 2, "2", True),
        (1.0, 2, "1", False),
        (1.5, 2, "1", True),
        (20.0, 64, "32", False),
        (20.0, 64, "", True),
        (1.0, 2, "2,1", True),
    ],
)
def test_threads_spin_briefly_where_they_and_other_programs_want_more_than_there_is(
    others: float, cores: int, threads: str, briefly: bool
) -> None:
    environment = {"OMP_NUM_THREADS": threads} if threads else {}
    assert (spins_where_busy(others, cores, environment) is not None) == briefly


def test_the_use_of_others_is_that_of_all_without_ones_own() -> None:
    before, after = CoreUse(10.0, 100.0, 1.0), CoreUse(10.5, 100.8, 1.3)
    assert after.others_since(before) == pytest.approx(1.0)
    assert CoreUse(10.5, 100.1, 1.3).others_since(before) == 0.0
