"""Verdicts of humaneval-plus and mbpp-plus beside EvalPlus's own evaluator, program by program.

    python benchmarks/evalplus_agreement.py TASK --evalplus FOLDER --problems FILE [--mutants 1000] [--answers RUN ...]

FOLDER has the package evalplus (`pip install --target FOLDER evalplus==0.3.1`), which runs programs in no sandbox; FILE
is EvalPlus's own `HumanEvalPlus.jsonl.gz` or `MbppPlus.jsonl.gz`. The programs are the canonical solutions, mutants of
these (one operator, comparison or number changed, by a seeded draw) and the solutions in run folders. Prints how many
verdicts are equal, and a line for each that is not.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qharness import score
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.storage.benchmark_files import mirror_dir

DATASETS = {"humaneval-plus": ("humaneval", "HUMANEVAL_OVERRIDE_PATH"), "mbpp-plus": ("mbpp", "MBPP_OVERRIDE_PATH")}
SECONDS = 4.0
"""Wall time that EvalPlus gives one call: its own 1 s is too short for canonical solutions on a busy machine."""
_SWAPPED: dict[type, type] = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Div},
    **{ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
}


@dataclass(frozen=True)
class Candidate:
    """A program: its problem, what kind it is, and its source."""

    task_id: str
    kind: str
    source: str


def mutants(source: str) -> list[str]:
    """Return all programs that differ from this one in one operator, comparison, number or truth value."""
    count = len(list(_places(ast.parse(source))))
    found = []
    for number in range(count):
        tree = ast.parse(source)
        change = list(_places(tree))[number]
        found.append(_changed(tree, *change))
    return [text for text in dict.fromkeys(found) if text != ast.unparse(ast.parse(source))]


def _places(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int, object]]:
    """Yield (node, field, index, new value) of each change: of an operator, or of a constant by one."""
    for node in ast.walk(tree):
        match node:
            case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op):
                if type(op) in _SWAPPED:
                    yield node, "op", -1, _SWAPPED[type(op)]()
            case ast.Compare(ops=ops):
                for index, each in enumerate(ops):
                    if type(each) in _SWAPPED:
                        yield node, "ops", index, _SWAPPED[type(each)]()
            case ast.Constant(value=bool(value)):
                yield node, "value", -1, not value
            case ast.Constant(value=int(value)) | ast.Constant(value=float(value)):
                yield node, "value", -1, value + 1
                yield node, "value", -1, value - 1
            case ast.UnaryOp(op=ast.Not()):
                yield node, "op", -1, ast.UAdd()


def _changed(tree: ast.AST, node: ast.AST, field: str, index: int, value: object) -> str:
    if index < 0:
        setattr(node, field, value)
    else:
        getattr(node, field)[index] = value
    return ast.unparse(ast.fix_missing_locations(tree))


def candidates(task: str, count: int, seed: int, answers: Iterable[Path]) -> list[Candidate]:
    """Return the canonical solutions, `count` mutants, as evenly over the problems as can be, and runs' solutions."""
    rng = random.Random(seed)
    docs = {doc["task_id"]: doc for each in load_task(task).tasks.values() for doc in each.eval_docs}
    humaneval = task == "humaneval-plus"
    canonical = {name: (doc["prompt"] if humaneval else "") + doc["canonical_solution"] for name, doc in docs.items()}
    pools = {name: mutants(source) for name, source in canonical.items()}
    for pool in pools.values():
        rng.shuffle(pool)
    drawn: list[Candidate] = []
    while len(drawn) < count and any(pools.values()):
        drawn += [Candidate(name, "mutant", pool.pop()) for name, pool in pools.items() if pool]
    found = [Candidate(name, "canonical", source) for name, source in canonical.items()] + drawn[:count]
    for folder in answers:
        rows = map(json.loads, (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines())
        found += [Candidate(row["task_id"], "answer", row["solution"]) for row in rows if row["task_id"] in docs]
    return list(dict.fromkeys(found))


def ours(task: str, path: Path) -> tuple[list[tuple[bool, bool]], list[str]]:
    """Return (base passed, plus passed) of each program, and what became of it."""
    rows = score(task, path).samples
    said = [f"{row['status']} {row['detail']}" for row in rows]
    return [("base" in row["stages"], row["passed"]) for row in rows], said


def theirs(task: str, path: Path, evalplus: Path, problems: Path, workers: int) -> list[tuple[bool, bool]]:
    """Return (base passed, plus passed) of each program, by EvalPlus's evaluator."""
    dataset, override = DATASETS[task]
    around = {**os.environ, "PYTHONPATH": str(evalplus), override: str(problems), "HOME": str(path.parent)}
    command = [sys.executable, "-m", "evalplus.evaluate", "--dataset", dataset, "--samples", str(path)]
    command += ["--min-time-limit", str(SECONDS), "--i-just-wanna-run", "--parallel", str(workers)]
    with (path.parent / "evalplus.log").open("w") as log:
        subprocess.run(command, env=around, check=True, stdout=log, stderr=log)
    results = json.loads(path.with_name(path.stem + "_eval_results.json").read_text(encoding="utf-8"))["eval"]
    taken: Counter[str] = Counter()
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        task_id = json.loads(line)["task_id"]
        row = results[task_id][taken[task_id]]
        taken[task_id] += 1
        base = row["base_status"] == "pass"
        found.append((base, base and row["plus_status"] == "pass"))
    return found


def without_the_giant(problems: Path, folder: Path) -> Path:
    """Return a copy of MbppPlus.jsonl.gz without the one input of Mbpp/255 whose output takes 5 GB."""
    with gzip.open(problems, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for row in rows:
        if row["task_id"] == "Mbpp/255":
            row["plus_input"] = [each for each in row["plus_input"] if not (len(each[0]) == 5 and each[1] == 77)]
    made = folder / "problems.jsonl"
    made.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=DATASETS)
    parser.add_argument("--evalplus", type=Path, required=True)
    parser.add_argument("--problems", type=Path, required=True)
    parser.add_argument("--mutants", type=int, default=1000)
    parser.add_argument("--answers", type=Path, nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    print(f"data: {mirror_dir() or 'fetched'}")
    found = candidates(asked.task, asked.mutants, asked.seed, asked.answers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "samples.jsonl"
        rows = [{"task_id": each.task_id, "solution": each.source} for each in found]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        start = time.perf_counter()
        mine, said = ours(asked.task, path)
        between = time.perf_counter()
        problems = without_the_giant(asked.problems, folder) if asked.task == "mbpp-plus" else asked.problems
        other = theirs(asked.task, path, asked.evalplus.resolve(), problems.resolve(), asked.workers)
        end = time.perf_counter()
    for kind in dict.fromkeys(each.kind for each in found):
        here = [n for n, each in enumerate(found) if each.kind == kind]
        same = sum(mine[n] == other[n] for n in here)
        base, plus = (sum(mine[n][part] for n in here) for part in (0, 1))
        print(f"{kind}: {same} of {len(here)} equal; {base} pass base, {plus} plus")
    print(f"seconds: ours {between - start:.1f}, EvalPlus's {end - between:.1f}, its expected outputs included")
    for each, a, b, words in zip(found, mine, other, said, strict=True):
        if a != b:
            print(json.dumps({"task_id": each.task_id, "kind": each.kind, "ours": a, "evalplus": b, "said": words}))
            print(each.source)


if __name__ == "__main__":
    main()
