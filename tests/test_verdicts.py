"""The cache of verdicts: what is judged once is not run again, and what may end otherwise is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from qharness import Limits, Program, score
from qharness.api.languages import Toolchain
from qharness.execution import choose_isolation, run_programs
from qharness.execution.verdicts import verdict_cache, verdict_key
from qharness.registry import get_registry

PASSES, FAILS, LOOPS = "x = 1\n", "assert False\n", "while True: pass\n"
SHORT = Limits(cpu_seconds=1, wall_seconds=2.0)


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path))


def test_a_judged_program_is_not_run_again() -> None:
    programs = [Program("python", source) for source in (PASSES, FAILS, PASSES, LOOPS)]
    verdicts = verdict_cache()
    first = run_programs(programs, get_registry().language, choose_isolation(), limits=SHORT, verdicts=verdicts)
    again = run_programs(programs, get_registry().language, choose_isolation(), limits=SHORT, verdicts=verdict_cache())
    assert [str(o.status) for o in first] == [str(o.status) for o in again] == ["passed", "failed", "passed", "timeout"]
    assert [o.cached for o in first] == [False] * 4
    assert [o.cached for o in again] == [True, True, True, False]  # another time it might not run out of time
    assert [o.seconds for o in again[:3]] == [o.seconds for o in first[:3]]


def test_a_verdict_depends_on_all_that_could_change_it() -> None:
    program, limits, isolation = Program("python", PASSES, "t", "E"), Limits(), choose_isolation()
    toolchain = Toolchain(("python",), (), "3.11")
    keys = {
        verdict_key(program, toolchain, limits, isolation),
        *(
            verdict_key(dataclasses.replace(program, **{name: "other"}), toolchain, limits, isolation)
            for name in ("language", "source", "tests", "entry_class")
        ),
        verdict_key(program, dataclasses.replace(toolchain, version="3.12"), limits, isolation),
        verdict_key(program, toolchain, dataclasses.replace(limits, cpu_seconds=3), isolation),
    }
    assert len(keys) == 7
    assert verdict_key(program, toolchain, limits, isolation) in keys


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QHARNESS_NO_CACHE", "1")
    assert verdict_cache() is None


def test_score_says_how_many_were_known(tmp_path: Path) -> None:
    samples = tmp_path / "samples.jsonl"
    rows = [{"task_id": "warmup/0", "completion": text} for text in ("    return 1\n", "    return 2\n")]
    from qharness.evaluate.run.lm_eval_bridge import load_task

    (task,) = load_task("warmup-python").tasks.values()
    rows = [{**row, "task_id": task.eval_docs[0]["task_id"]} for row in rows]
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, again = score("warmup-python", samples), score("warmup-python", samples)
    assert (first.document["cached"], again.document["cached"]) == (0, 2)
    assert "cached" not in again.samples[0]
    assert [row["status"] for row in first.samples] == [row["status"] for row in again.samples]
