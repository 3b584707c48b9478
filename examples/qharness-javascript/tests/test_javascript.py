from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import qharness
import qharness_javascript
from qharness import MissingDependencyError, Status
from qharness_javascript import JavaScript, problems, prose_spans

DECLARED = "/** Twice. } */\nfunction f(x)"
OPENED = "/** Twice. } */\nfunction f(x) {\n"

CUTS = {
    "ends at once": (" { return 2 * x; }", " { return 2 * x; }"),
    "a second function": (" { return 2 * x; }\n\nfunction g() { return 1; }", " { return 2 * x; }"),
    "a call": (" { return 2 * x; }\nconsole.log(f({ a: 1 }));", " { return 2 * x; }"),
    "prose": (" { return 2 * x; }\n\nThis doesn't need a { brace.", " { return 2 * x; }"),
    "braces in strings": (" { return '}' + \"}\" + `}`; /* } */ // }\n }\nlet y;", " { return '}' + \"}\" + `}`; /* } */ // }\n }"),
    "a template": (" { return `a${{ b: `${x}` }.b}c`; } y", " { return `a${{ b: `${x}` }.b}c`; }"),
    "a regular expression": (" { return x.replace(/[}{]/g, '}') / 2; } y", " { return x.replace(/[}{]/g, '}') / 2; }"),
    "functions inside": (" { const g = () => { return x; }; return g(); }\ng", " { const g = () => { return x; }; return g(); }"),
    "objects": (" { return { a: { b: x } }; } }", " { return { a: { b: x } }; }"),
    "never closes": (" { while (true) { x++;", " { while (true) { x++;"),
    "other letters": (" { return 'é🦊}'; }\n// ü", " { return 'é🦊}'; }"),
    "empty": ("", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CUTS)
def test_first_function_declared(case: str) -> None:
    completion, kept = CUTS[case]
    assert JavaScript().first_function(DECLARED, completion) == kept


@pytest.mark.parametrize("case", [name for name in CUTS if name != "empty"])
def test_first_function_opened(case: str) -> None:
    completion, kept = CUTS[case]
    opening = completion.index("{") + 1
    assert JavaScript().first_function(OPENED, completion[opening:]) == kept[opening:]


def test_there_are_ten_problems_each_of_its_own() -> None:
    rows = problems()
    assert len(rows) == len({row["task_id"] for row in rows}) == 10
    assert all(row["prompt"].endswith(" {\n") and row["language"] == "node" for row in rows)


def test_right_solutions_pass_and_empty_ones_fail(run) -> None:
    rows = problems()
    right = {row["task_id"]: (row["prompt"] + row["canonical_solution"], row["tests"]) for row in rows}
    empty = {f"{row['task_id']}, empty": (row["prompt"] + "}\n", row["tests"]) for row in rows}
    nothing = {f"{row['task_id']}, nothing": (row["prompt"], row["tests"]) for row in rows}
    outcomes = run({**right, **empty, **nothing})
    assert {name: str(outcomes[name].status) for name in right} == dict.fromkeys(right, "passed")
    assert {name: str(outcomes[name].status) for name in empty} == dict.fromkeys(empty, "failed")
    assert {name: str(outcomes[name].status) for name in nothing} == dict.fromkeys(nothing, "compile-error")


def test_every_test_of_a_problem_counts(run) -> None:
    """Each assertion, its expectation changed, fails the right solution."""
    spoiled = {}
    for row in problems():
        for number, line in enumerate(row["tests"].splitlines()):
            if "assert.strictEqual" in line or "assert.deepStrictEqual" in line:
                changed = line.replace("trictEqual(", "trictEqual([0], ", 1)
                tests = row["tests"].replace(line, changed)
                spoiled[f"{row['task_id']} {number}"] = (row["prompt"] + row["canonical_solution"], tests)
    outcomes = run(spoiled)
    assert len(spoiled) > 30
    assert {name: str(outcome.status) for name, outcome in outcomes.items()} == dict.fromkeys(spoiled, "failed")


@pytest.mark.parametrize("row", problems(), ids=lambda row: row["task_id"])
def test_prose_is_prose(row: dict[str, str]) -> None:
    spans = prose_spans(row)
    texts = [row["prompt"][start:end] for field, start, end in spans]
    assert all(field == "prompt" for field, _, _ in spans) and sum(map(len, texts)) > 20
    assert not any(re.search(r"[`*{}@/=]", text) for text in texts)
    assert row["prompt"].index("*/") > max(end for _, _, end in spans)


def test_a_samples_file_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path / "cache"))
    rows = [{"task_id": row["task_id"], "completion": row["canonical_solution"]} for row in problems()]
    rows[0]["completion"] = "  return value;\n}\n"
    rows[1]["completion"] = "  return sentence.split(' ;\n}\n"
    samples = tmp_path / "samples.jsonl"
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    document = qharness.score("js-ten", samples).document
    assert (document["n_problems"], document["passed"]) == (10, 8)
    assert document["status"] == {"passed": 8, "failed": 1, "compile-error": 1}


def test_without_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    qharness_javascript.language._node.cache_clear()
    try:
        with pytest.raises(MissingDependencyError, match=r"Node\.js 20 or newer"):
            JavaScript().toolchain(JavaScript.limits)
    finally:
        qharness_javascript.language._node.cache_clear()


def test_a_syntax_error_in_the_tests_is_none_of_the_solution(run) -> None:
    outcomes = run({"theirs": ("const f = 1;", "f ="), "its own": ("const f =", "f;")})
    assert outcomes["theirs"].status is Status.ERROR and outcomes["its own"].status is Status.COMPILE_ERROR


def test_missing_names_are_told_apart(run) -> None:
    outcomes = run(
        {
            "a name": ("const f = () => g(1);", "f();"),
            "a method": ("const f = () => [].summed();", "f();"),
            "neither": ("const f = () => { throw new TypeError('no'); };", "f();"),
        }
    )
    found = {name: bool(re.match(JavaScript.missing_names, outcome.detail)) for name, outcome in outcomes.items()}
    assert found == {"a name": True, "a method": True, "neither": False}
