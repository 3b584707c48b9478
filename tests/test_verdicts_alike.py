"""The same verdicts whatever the number of workers, and however busy they keep the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from qharness import Program
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.execution import choose_isolation, run_programs
from qharness.filters import program_of
from qharness.registry import get_registry

TASKS = ("humaneval", "mbpp", "mceval-python", "mceval-java")


def canonical(data_dir: Path) -> list[Program]:
    """The benchmarks' own solutions, and each a second time with an end that no tests pass."""
    docs = [d for name in TASKS for task in load_task(name, data_dir).tasks.values() for d in task.eval_docs]
    return [program_of(doc, doc["canonical_solution"] + end) for doc in docs for end in ("", "\n)")]


@pytest.mark.slow
def test_one_worker_or_sixteen_ten_times_over(data_dir: Path) -> None:
    programs = canonical(data_dir)
    one = [o.status for o in run_programs(programs, get_registry().language, choose_isolation(), workers=1)]
    assert one == ["passed", "compile-error"] * (len(programs) // 2)
    for _ in range(10):
        outcomes = run_programs(programs, get_registry().language, choose_isolation(), workers=16)
        assert [o.status for o in outcomes] == one
