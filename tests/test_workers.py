"""Workers that outlive a batch of programs: the same verdicts, from the same processes."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from qharness import Limits, Outcome, Program, Status
from qharness.execution import choose_isolation, keeping_workers, run_programs, workers
from qharness.execution.worker import SandboxWorker
from qharness.registry import get_registry
from qharness.specs import RunSpec
from qharness.study import run_jobs
from tests.conftest import still_running

JAVA = "class Main { public static void main(String[] a) throws Exception { %s } }"
HOSTILE = {
    "java": [JAVA % "System.exit(0);", JAVA % "int[][] big = new int[1 << 20][]; for (;;) big[0] = new int[1 << 28];"],
    "python": ["import os; os._exit(0)", "import sys; sys.modules.clear(); raise SystemExit"],
}
RIGHT = {"java": JAVA % "assert %d > 0;", "python": "assert %d"}


def run(language: str, sources: list[str], limits: Limits | None = None) -> list[Outcome]:
    programs = [Program(language, source, "", "Main" if language == "java" else "") for source in sources]
    return run_programs(programs, get_registry().language, choose_isolation(), limits=limits, workers=2)


def right(language: str, number: int) -> list[str]:
    """Sources of right programs, of which no two batches have one in common."""
    return [RIGHT[language] % n for n in range(10 * number + 1, 10 * number + 5)]


def children() -> set[psutil.Process]:
    return set(psutil.Process().children())


@pytest.mark.parametrize("language", RIGHT)
def test_a_batch_gets_the_workers_of_the_one_before(language: str) -> None:
    before = children()
    with keeping_workers():
        outcomes = run(language, right(language, 1))
        ours = children() - before
        outcomes += run(language, right(language, 2))
        assert ours and children() - before == ours
        hostile, again = len(HOSTILE[language]), run(language, [*HOSTILE[language], *right(language, 3)])
        outcomes += [*again[hostile:], *run(language, right(language, 4))]
    assert all(outcome.passed for outcome in outcomes)
    assert not any(outcome.passed for outcome in again[:hostile])
    assert still_running(ours) == [] and children() <= before


def test_those_of_another_language_or_limit_end() -> None:
    before = children()
    with keeping_workers():
        run("java", right("java", 1))
        java = children() - before
        run("python", right("python", 1))
        python = children() - before
        assert java and still_running(java) == [] and python
        assert run("python", ["import time; time.sleep(30)"], Limits(wall_seconds=0.5))[0].status is Status.TIMEOUT
        assert still_running(python) == []


def test_after_an_interruption_they_are_new() -> None:
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    before = children()
    programs = [Program("python", source) for source in right("python", 1)]
    with keeping_workers():
        run("python", right("python", 2))
        ours = children() - before
        with pytest.raises(KeyboardInterrupt):
            run_programs(programs, get_registry().language, choose_isolation(), workers=2, progress=stop)
        assert ours and still_running(ours) == []
        assert all(outcome.passed for outcome in run("python", right("python", 3)))
    assert children() <= before


def test_without_it_none_stays() -> None:
    before = children()
    run("python", right("python", 1))
    assert children() <= before


def test_the_runs_of_a_command_have_them_in_common(
    random_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[tuple[str, int]] = []

    class Counted(SandboxWorker):
        def run(self, program: Program) -> Outcome:
            used.append((program.source, id(self)))
            return super().run(program)

    monkeypatch.setattr(workers, "SandboxWorker", Counted)
    monkeypatch.setenv("QHARNESS_CORES", "1")
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "cache"))
    spec = RunSpec(
        "warmup-python", str(random_llama), "rtn:2", samples=9, limit=2, max_new_tokens=8, temperature=1.0,
        output=tmp_path / "runs",
    )  # fmt: skip
    result = run_jobs.run(spec)
    assert result.baseline and len({worker for _, worker in used}) == 1
    for folder in (result.folder, result.baseline.folder):
        texts = [json.loads(line)["completion"] for line in (folder / "samples.jsonl").read_text().splitlines()]
        assert any(text and source.endswith(text) for text in texts for source, _ in used)
