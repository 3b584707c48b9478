"""The benchmarks' loaders, against the data itself and against the second paper's own copy of McEval."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from qharness import DataError
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.filters import first_function, run_programs
from qharness.registry import get_registry
from qharness.tasks import humaneval, mceval
from tests.conftest import REPOSITORY

TASKS = {
    "humaneval": 164,
    "humaneval-first-function": 164,
    "mbpp": 974,
    "mbpp-test": 500,
    "humaneval-plus": 164,
    "mbpp-plus": 378,
    "mceval-python": 42,
    "mceval-java": 53,
    "mceval-c": 50,
    "mceval-cpp": 50,
    "mceval-go": 50,
    "mceval-javascript": 50,
    "mceval-typescript": 50,
    "multiple-py": 161,
    "multiple-java": 158,
}


def docs_of(task: str, data_dir: Path) -> list[dict[str, Any]]:
    (loaded,) = load_task(task, data_dir).tasks.values()
    return list(loaded.eval_docs)


@pytest.mark.parametrize("task", TASKS)
def test_every_problem_is_there(task: str, data_dir: Path) -> None:
    assert len({doc["task_id"] for doc in docs_of(task, data_dir)}) == TASKS[task]


@pytest.mark.parametrize("task", ["humaneval", "mceval-python", "mceval-java"])
def test_canonical_solutions_pass_and_empty_completions_do_not(task: str, data_dir: Path) -> None:
    docs = docs_of(task, data_dir)
    verdicts = run_programs([[doc["canonical_solution"], ""] for doc in docs], docs)
    assert [doc["task_id"] for doc, (right, _) in zip(docs, verdicts, strict=True) if not right["passed"]] == []
    assert [doc["task_id"] for doc, (_, empty) in zip(docs, verdicts, strict=True) if empty["passed"]] == []


@pytest.mark.parametrize(("task", "file"), [("mceval-python", "mceval_py"), ("mceval-java", "mceval_java")])
def test_mceval_is_what_the_second_paper_used(task: str, file: str, data_dir: Path) -> None:
    """Prompts and tests equal those of its replication package, byte for byte."""
    lines = (data_dir / f"mceval-paper/{file}.jsonl").read_text().splitlines()
    paper = {row["name"].replace("-", "/"): row for row in map(json.loads, lines)}
    docs = {doc["task_id"]: doc for doc in docs_of(task, data_dir)}
    assert set(docs) == set(paper)
    for task_id, row in paper.items():
        assert docs[task_id]["prompt"] == row["prompt"], task_id
        assert docs[task_id]["tests"] == row["tests"], task_id


def test_mceval_python_stops_where_multipl_e_does(data_dir: Path) -> None:
    lines = (data_dir / "mceval-paper/mceval_py.jsonl").read_text().splitlines()
    (task,) = load_task("mceval-python", data_dir).tasks.values()
    for row in map(json.loads, lines):
        assert task.get_config("generation_kwargs")["until"] == row["stop_tokens"]


def test_levels_are_those_of_the_data(data_dir: Path) -> None:
    """30 easy, 10 middle and 13 hard in Java (the paper's text swaps the last two); 23, 10 and 9 in Python."""
    for task, expected in (("mceval-java", (30, 10, 13)), ("mceval-python", (23, 10, 9))):
        levels = [doc["level"] for doc in docs_of(task, data_dir)]
        assert tuple(levels.count(level) for level in ("easy", "middle", "hard")) == expected


def test_problems_whose_tests_tested_nothing(data_dir: Path) -> None:
    python = {doc["task_id"]: doc for doc in docs_of("mceval-python", data_dir)}
    java = {doc["task_id"]: doc for doc in docs_of("mceval-java", data_dir)}
    cases = [
        (python["Python/9"], "    return []\n", "failed"),
        (python["Python/35"], "    return 0\n", "failed"),
        (python["Python/35"], "    import sys; sys.exit(0)\n", "early-exit"),
        (java["Java/53"], "{ return s; }", "failed"),
    ]
    docs, completions, statuses = zip(*cases, strict=True)
    verdicts = run_programs([[c] for c in completions], docs)
    assert [verdict["status"] for (verdict,) in verdicts] == list(statuses)


def test_reference_solutions_are_cut_after_their_first_function(data_dir: Path) -> None:
    """What goes is what was appended, or another function; what is one function still passes."""
    for task, most_cut in (("mceval-python", 1), ("mceval-java", 13)):
        docs = docs_of(task, data_dir)
        cut = [
            c for (c,) in first_function([[doc["canonical_solution"] + "\n\nHere is more.\n"] for doc in docs], docs)
        ]
        assert not any("Here is more" in c for c in cut)
        gone = [doc["canonical_solution"][len(c) :].strip() for doc, c in zip(docs, cut, strict=True)]
        assert sum(map(bool, gone)) <= most_cut
        assert all(re.search(r"\w+\(.*\)", g) for g in gone if g)
        whole = [i for i, g in enumerate(gone) if not g]
        verdicts = run_programs([[cut[i]] for i in whole], [docs[i] for i in whole])
        assert [docs[i]["task_id"] for i, (v,) in zip(whole, verdicts, strict=True) if not v["passed"]] == []


@pytest.mark.parametrize("task", TASKS)
def test_prose_is_found_and_holds_no_code(task: str, data_dir: Path) -> None:
    spans_of = get_registry().tasks[task].value.source.prose_spans
    docs = docs_of(task, data_dir)
    without = [doc["task_id"] for doc in docs if not spans_of(doc)]
    assert len(without) <= 2, without
    for doc in docs:
        end = 0
        for field, start, stop in spans_of(doc):
            assert field == "prompt" and end <= start < stop <= len(doc["prompt"])
            text = doc["prompt"][start:stop]
            assert "\n" not in text and text == text.strip()
            assert ">>>" not in text and "->" not in text and "*/" not in text and '"""' not in text
            assert not re.match(r"(import|from|def|class|public|private|static|return) .*[;:({]$", text), text
            end = stop


def test_humaneval_prose_by_hand() -> None:
    doc = {"prompt": 'def f(x: int) -> int:\n    """ Double a number.\n    Not more.\n    >>> f(2)\n    4\n    """\n'}
    texts = [doc["prompt"][start:end] for _, start, end in humaneval.prose_spans(doc)]
    assert texts == ["Double a number.", "Not more."]


def test_java_prose_by_hand() -> None:
    prompt = "class Problem {\n    /**\n     * Double a number.\n     * @param x the number\n     * Example:\n     * f(2)\n     */\n    int f(int x)"
    doc = {"prompt": prompt, "language": "java"}
    assert [prompt[start:end] for _, start, end in mceval.prose_spans(doc)] == ["Double a number.", "the number"]
    prompt = "class Problem {\n    // Double a number.\n    // >>> f(2)\n    // 4\n    int f(int x) {\n"
    assert [prompt[s:e] for _, s, e in mceval.prose_spans({"prompt": prompt, "language": "java"})] == [
        "Double a number."
    ]


def test_every_yaml_loads_and_is_listed(data_dir: Path) -> None:
    """lm-eval skips a broken YAML without a word; and every YAML of ours is a task of ours."""
    yamls = {path.stem for path in REPOSITORY.glob("tasks/*/*.yaml")}
    ours = {name for name, entry in get_registry().tasks.items() if entry.plugin.startswith("qharness.")}
    assert yamls == ours
    with_data = {name for name in ours if not name.startswith("code2text-")}  # those are loaded in their own test
    assert {name for name in with_data if not name.startswith("tiny-")} == set(TASKS)  # those bring their own data
    for name in with_data:
        assert load_task(name, data_dir).tasks[name].eval_docs


def test_samples_are_drawn_as_the_papers_do(data_dir: Path) -> None:
    for name, (repeats, tokens) in {
        "humaneval": (10, 512),
        "humaneval-first-function": (10, 512),
        "mbpp": (10, 512),
        "mbpp-test": (10, 512),
        "humaneval-plus": (10, 512),
        "mbpp-plus": (10, 512),
        "mceval-python": (20, 1500),
        "mceval-java": (20, 1500),
        "multiple-py": (20, 1024),
        "multiple-java": (20, 1024),
        "tiny-python": (10, 300),
        "tiny-java": (10, 300),
    }.items():
        (task,) = load_task(name, data_dir).tasks.values()
        arguments = task.get_config("generation_kwargs")
        assert task.get_config("repeats") == repeats
        assert (arguments["temperature"], arguments["top_p"], arguments["max_gen_toks"]) == (0.2, 0.95, tokens)


def test_missing_and_damaged_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"HumanEval\.jsonl\.gz is missing: fetch https://raw"):
        humaneval.FILE.rows(tmp_path)
    (tmp_path / "mceval").mkdir()
    (tmp_path / "mceval/Java.jsonl").write_text("{}")
    with pytest.raises(DataError, match="has sha256 44136f"):
        mceval.JAVA.rows(tmp_path)
    monkeypatch.delenv("QHARNESS_DATA_DIR", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(DataError, match="--data-dir DIR"):
        humaneval.FILE.rows()
    monkeypatch.setenv("QHARNESS_DATA_DIR", str(tmp_path / "mirror"))
    with pytest.raises(DataError, match="mirror"):
        humaneval.FILE.rows()


def test_prose_of_the_bundled_models_problems() -> None:
    """All but few of their descriptions; a line that looks like code is left out."""
    for task in ("tiny-python", "tiny-java"):
        (loaded,) = load_task(task).tasks.values()
        spans_of = get_registry().tasks[task].value.source.prose_spans
        docs = list(loaded.eval_docs)
        assert sum(not spans_of(doc) for doc in docs) <= 2
        assert all(">>>" not in doc["prompt"][start:end] for doc in docs for _, start, end in spans_of(doc))
    (loaded,) = load_task("tiny-summary").tasks.values()
    assert get_registry().tasks["tiny-summary"].value.source.prose_spans(loaded.eval_docs[0]) == []
