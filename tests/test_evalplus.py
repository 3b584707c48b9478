"""humaneval-plus and mbpp-plus: EvalPlus's files as cases, base figures beside those of all tests."""

from __future__ import annotations

import ast
import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import qharness
from qharness import DataError, RunSpec, score
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.filters import program_of, programs_of, run_programs, solution_of
from qharness.tasks import evalplus
from qharness.tasks.evalplus.problems import BASE_INPUTS, MBPP_BASE_INPUTS, SAME, TOLERANCES

Docs = dict[str, dict[str, Any]]


@cache
def documents(task: str, data_dir: Path) -> Docs:
    (loaded,) = load_task(task, data_dir).tasks.values()
    return {doc["task_id"]: doc for doc in loaded.eval_docs}


def failures(docs: Docs) -> tuple[list[str], list[str]]:
    """The problems whose reference fails, and those of which an empty completion passes a stage."""
    verdicts = run_programs([[doc["canonical_solution"], "    pass\n"] for doc in docs.values()], list(docs.values()))
    pairs = list(zip(docs, verdicts, strict=True))
    return [n for n, (right, _) in pairs if not right["passed"]], [n for n, (_, empty) in pairs if empty["stages"]]


def test_some_references_pass_and_empty_completions_do_not(data_dir: Path) -> None:
    """Among them problems with many right answers, a tolerance, or a reference in place of outputs."""
    docs = documents("humaneval-plus", data_dir)
    chosen = {n: docs[n] for n in (f"HumanEval/{n}" for n in (0, 2, 32, 53, 100, 116))}
    assert failures(chosen) == ([], [])
    docs = documents("mbpp-plus", data_dir)
    chosen = {n: docs[n] for n in (f"Mbpp/{n}" for n in (2, 82, 88, 124, 252, 558, 581, 737))}
    assert failures(chosen) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("task", ["humaneval-plus", "mbpp-plus"])
def test_every_reference_passes_and_no_empty_completion_does(task: str, data_dir: Path) -> None:
    assert failures(documents(task, data_dir)) == ([], [])


def test_what_passes_the_original_tests_may_fail_the_others(data_dir: Path) -> None:
    """A sum that overflows past any number of HumanEval's own, and a root that is none."""
    docs = documents("humaneval-plus", data_dir)
    chosen = [docs["HumanEval/53"], docs["HumanEval/32"], docs["HumanEval/32"]]
    texts = ["    return (x + y) % 2**64\n", "    return 0.0\n", "    return iter([1.0])\n"]
    verdicts = [each for (each,) in run_programs([[text] for text in texts], chosen)]
    assert [(str(each["status"]), each["stages"]) for each in verdicts] == [
        ("failed", ["base"]),
        ("failed", []),
        ("failed", []),
    ]


@pytest.mark.parametrize(
    ("task_id", "right", "wrong"),
    [
        ("Mbpp/2", "return [*reversed(list(set(a) & set(b)))] * 2", "return set(a) | set(b)"),
        ("Mbpp/737", "return text[0].lower() in 'aeiou' if text else False", "return not text"),
        ("Mbpp/558", "return sum(abs(int(x) - int(y)) for x, y in zip(*(s.zfill(40) for s in map(str, (a, b)))))", "return 1"),
        ("Mbpp/581", "return round(a**2 + 2 * a * ((a / 2) ** 2 + b**2) ** 0.5)", "return a * b"),
    ],
)  # fmt: skip
def test_problems_with_a_relation_of_their_own(task_id: str, right: str, wrong: str, data_dir: Path) -> None:
    doc = documents("mbpp-plus", data_dir)[task_id]
    arguments = "text" if task_id == "Mbpp/737" else "a, b"
    texts = [f"def {doc['entry_point']}({arguments}):\n    {body}\n" for body in (right, wrong)]
    verdicts = run_programs([texts], [doc])[0]
    assert [each["passed"] for each in verdicts] == [True, False], verdicts


def test_the_tests_are_upstreams_and_run_anywhere(data_dir: Path) -> None:
    for task, file in (("humaneval-plus", evalplus.HUMANEVAL), ("mbpp-plus", evalplus.MBPP)):
        rows, docs = file.rows(data_dir), documents(task, data_dir)
        assert len(rows) == len(docs)
        for row, doc in zip(rows, docs.values(), strict=True):
            assert row["test"] in doc["tests"]
            ast.parse(doc["cases"]["reference"] + doc["cases"]["same"])


def test_prompts(data_dir: Path) -> None:
    """HumanEval's, but for 115, in which EvalPlus puts the import before the function; MBPP's in InCoder's form."""
    ours, original = documents("humaneval-plus", data_dir), documents("humaneval", data_dir)
    assert [n for n in original if ours[n]["prompt"] != original[n]["prompt"]] == ["HumanEval/115"]
    plus, mbpp = documents("mbpp-plus", data_dir), documents("mbpp", data_dir)
    assert plus["Mbpp/2"]["prompt"].endswith('== set((4, 5))\n"""\n')
    assert set(plus) < {name.replace("MBPP", "Mbpp") for name in mbpp}
    assert not any("http" in doc["prompt"] for doc in plus.values())


def test_a_program_holds_no_text_of_its_tests(data_dir: Path) -> None:
    """All programs of a problem share the cases, which are hashed once."""
    doc = documents("humaneval-plus", data_dir)["HumanEval/0"]
    program, other = programs_of(doc, [doc["canonical_solution"], "    pass\n"])
    assert program == program_of(doc, doc["canonical_solution"]) and other.cases is program.cases
    assert program.tests == "" and program.cases is not None and program.packages == ("numpy",)
    assert program.cases.stages == (("base", 0), ("plus", 7))


def test_the_code_in_an_answer(data_dir: Path) -> None:
    """Only the function is looked for, not the words of half a megabyte of inputs."""
    doc = documents("humaneval-plus", data_dir)["HumanEval/53"]
    answer = "Sure:\n```python\ndef add(x: int, y: int):\n    return x + y\n```\n```python\nprint(add(1, 2))\n```\n"
    (verdict,) = run_programs([[solution_of(doc, answer)]], [doc])[0]
    assert verdict["passed"] and "print" not in verdict["solution"]


def test_evalplus_lines_are_scored_with_both_figures(data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    bodies = ("x + y", "(x + y) % 2**64", "x - y")
    solutions = [f"def add(x, y):\n    return {body}\n" for body in bodies]
    path.write_text("".join(json.dumps({"task_id": "HumanEval/53", "solution": text}) + "\n" for text in solutions))
    result = score("humaneval-plus", path, data_dir=data_dir)
    assert result.document["pass@1"] == pytest.approx(1 / 3)
    assert result.document["base_pass@1"] == pytest.approx(2 / 3)
    assert [row["stages"] for row in result.samples] == [["base", "plus"], ["base"], []]


def test_a_run_has_both_figures(data_dir: Path, random_llama: Path, tmp_path: Path) -> None:
    spec = RunSpec(
        "humaneval-plus",
        model=str(random_llama),
        limit=2,
        samples=1,
        max_new_tokens=4,
        data_dir=data_dir,
        output=tmp_path,
    )
    record = qharness.run(spec).record
    assert dict(record.own_metrics)["pass@1"] == 0.0 and dict(record.own_metrics)["base_pass@1"] == 0.0
    assert record.main_metric is not None and record.main_metric.name == "pass@1"
    assert record.main_metric.unit == "ratio"
    assert record.versions.packages is not None and "numpy" in record.versions.packages


def test_data_that_differ_or_are_absent(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"HumanEvalPlus-OriginFmt.jsonl.gz is missing: fetch https://"):
        load_task("humaneval-plus", tmp_path)
    copy = tmp_path / evalplus.MBPP.path
    copy.parent.mkdir()
    copy.write_bytes(gzip.compress((data_dir / evalplus.MBPP.path).read_bytes()))
    with pytest.raises(DataError, match="has sha256"):
        load_task("mbpp-plus", tmp_path)


def test_base_inputs_are_those_of_the_original_tests(data_dir: Path) -> None:
    """Of MBPP: as many as its assertions, where all inputs differ and the task has no more than EvalPlus's own."""
    docs = documents("mbpp", data_dir)
    numbers = {int(name.partition("/")[2]): doc for name, doc in docs.items()}
    plus = [int(name.partition("/")[2]) for name in documents("mbpp-plus", data_dir)]
    assert len(BASE_INPUTS) == 164 and set(MBPP_BASE_INPUTS) <= set(plus)
    fewer = [n for n in plus if MBPP_BASE_INPUTS.get(n, 3) < len(numbers[n]["tests"].split("\nassert")) - 1]
    assert len(fewer) < 5
    assert set(SAME) | set(TOLERANCES) <= {*documents("humaneval-plus", data_dir), *(f"Mbpp/{n}" for n in plus)}
