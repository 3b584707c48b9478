"""Programs a second of humaneval-plus, beside humaneval and EvalPlus's own evaluator.

    python benchmarks/evalplus_speed.py --evalplus FOLDER --problems FILE [--copies 3] [--answers RUN]

FOLDER and FILE as in evalplus_agreement.py. The programs are canonical solutions, made distinct by a comment, but for
SLOW, and the solutions in a run folder, most of which are wrong. Ours includes starting and warming up, with isolation
on and no cache; EvalPlus's, without isolation, leaves out its expected outputs. Two at a time. CPU seconds are of all
processes: on a busy machine they say more than wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from cpu_meter import CpuMeter

from qharness import Program
from qharness.answers.solution import Solution
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.execution import choose_isolation, run_programs
from qharness.filters import program_of
from qharness.registry import get_registry

SLOW = frozenset(f"HumanEval/{number}" for number in (15, 36, 59, 83, 94, 130, 139))
"""Problems whose canonical solution computes for more than half a second, on EvalPlus's inputs."""
THEIRS = """
import json, sys, time
from concurrent.futures import ProcessPoolExecutor
from evalplus.data import get_human_eval_plus
from evalplus.evaluate import check_correctness, get_groundtruth
asked = json.load(open(sys.argv[1]))
problems = get_human_eval_plus()
expected = get_groundtruth({n: problems[n] for n in {n for n, _ in asked}}, 'speed', [])
sys.stdout = sys.stderr
import resource
start, used = time.perf_counter(), sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
with ProcessPoolExecutor(2) as pool:
    jobs = [
        pool.submit(check_correctness, 'humaneval', 0, problems[n], source, expected[n], fast_check=True)
        for n, source in asked
    ]
    found = [job.result() for job in jobs]
passed = sum(each['base'][0] == each['plus'][0] == 'pass' for each in found)
seconds, used = time.perf_counter() - start, sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - used
sys.__stdout__.write(json.dumps([passed, seconds, used]))
"""


def ours(programs: Sequence[Program]) -> tuple[int, float, float]:
    """Return (passed, wall seconds, CPU seconds)."""
    isolation, meter = choose_isolation(), CpuMeter()
    meter.start()
    start = time.perf_counter()
    outcomes = run_programs(programs, get_registry().language, isolation, workers=2)
    seconds = time.perf_counter() - start
    return sum(each.passed for each in outcomes), seconds, meter.stop()


def theirs(pairs: Sequence[tuple[str, str]], evalplus: Path, problems: Path) -> tuple[int, float, float]:
    """Return (passed, wall seconds, CPU seconds) of EvalPlus's evaluator on (problem, source) pairs."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder, "asked.json")
        asked.write_text(json.dumps(pairs), encoding="utf-8")
        around = {**os.environ, "PYTHONPATH": str(evalplus), "HUMANEVAL_OVERRIDE_PATH": str(problems), "HOME": folder}
        command = [sys.executable, "-c", THEIRS, str(asked)]
        done = subprocess.run(command, env=around, check=True, capture_output=True, text=True)
    passed, seconds, used = json.loads(done.stdout.splitlines()[-1][done.stdout.splitlines()[-1].index("[") :])
    return passed, seconds, used


def tell(name: str, count: int, passed: int, seconds: float, used: float) -> None:
    print(f"{name}: {passed} of {count} pass; {count / seconds:.1f} a second; {1000 * used / count:.1f} ms of CPU each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evalplus", type=Path, required=True)
    parser.add_argument("--problems", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=3)
    parser.add_argument("--answers", type=Path)
    asked = parser.parse_args()
    tasks = {}
    for name in ("humaneval", "humaneval-plus"):
        (task,) = load_task(name).tasks.values()
        tasks[name] = {doc["task_id"]: doc for doc in task.eval_docs}
    sources = [
        (n, f"{doc['prompt']}{doc['canonical_solution']}# {copy}\n")
        for n, doc in tasks["humaneval-plus"].items()
        if n not in SLOW
        for copy in range(asked.copies)
    ]
    sets = {"canonical": sources}
    if asked.answers:
        rows = map(json.loads, (asked.answers / "samples.jsonl").read_text(encoding="utf-8").splitlines())
        sets["answers"] = [(row["task_id"], row["solution"]) for row in rows]
    for kind, pairs in sets.items():
        for name, docs in tasks.items():
            programs = [program_of(docs[n], Solution(source, source)) for n, source in pairs]
            tell(f"{kind}, {name}", len(pairs), *ours(programs))
        tell(f"{kind}, EvalPlus", len(pairs), *theirs(pairs, asked.evalplus.resolve(), asked.problems.resolve()))


if __name__ == "__main__":
    main()
