"""Code is taken out of made answers, and what is taken out passes its problem's tests."""

from __future__ import annotations

import json
import time
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from qharness.answers.solution import Solution
from qharness.evaluate import score
from qharness.filters import extract_code, run_programs
from tests.conftest import REPOSITORY

FILES = sorted((REPOSITORY / "tests" / "answers").glob("*.toml"))
MADE = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in FILES}
CASES = [(language, answer) for language, made in MADE.items() for answer in made["answer"]]
TITLES = [f"{language}: {answer['title']}" for language, answer in CASES]


def document(language: str, answer: dict[str, Any]) -> dict[str, Any]:
    problem = MADE[language]["problem"][answer["problem"]]
    return {"task_id": answer["title"], "language": language, **problem}


@cache
def solutions() -> list[Solution]:
    texts = [[answer["text"].replace("\n", answer.get("newline", "\n"))] for _, answer in CASES]
    return [found for (found,) in extract_code(texts, [document(*case) for case in CASES])]


def lines(text: str) -> list[str]:
    """Blank lines between pieces are a matter of taste."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def test_there_are_eighty_made_answers() -> None:
    assert len(CASES) >= 80
    assert len(set(TITLES)) == len(TITLES)


@pytest.mark.parametrize("number", range(len(CASES)), ids=TITLES)
def test_the_code_is_taken_out(number: int) -> None:
    assert lines(solutions()[number]) == lines(CASES[number][1]["solution"])


def test_the_programs_pass() -> None:
    verdicts = run_programs([[solution] for solution in solutions()], [document(*case) for case in CASES])
    for (verdict,), (language, answer) in zip(verdicts, CASES, strict=True):
        found = f"{verdict['status']} {verdict['detail']}"
        assert verdict["status"] == answer.get("verdict", "passed"), f"{language}: {answer['title']}: {found}"


HOSTILE = {
    "backticks": "`" * 1_000_000,
    "fences": "```\n" * 250_000,
    "fences with tags": "```python\n" * 100_000,
    "fences in a row": "```a" * 250_000,
    "open brackets": "```python\n" + "(" * 1_000_000,
    "open braces": "{" * 1_000_000,
    "thoughts": "<think>\n" * 125_000,
    "ends of thoughts": "</think>\n" * 110_000,
    "elements": "<code" * 200_000,
    "open elements": "<code>\n" * 140_000,
    "strings": '{"a": "\\n' * 100_000,
    "heads": "def add(a, b):\n" * 60_000,
    "methods": "public static int add(int a, int b) {\n" * 25_000,
    "quotes": '"""\n' * 250_000,
    "control characters": "\x00\x1b[2J\x07\ud800" * 150_000,
    "a long line": "add(" * 250_000,
    "spaces": " " * 1_000_000,
    "quotations": ">" * 1_000_000 + "```\n",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("language", MADE)
def test_hostile_answers_take_little_time(language: str, name: str) -> None:
    """A part of it takes under a second of CPU; the limit tells linear from quadratic time."""
    answer = {"title": name, "problem": "add"}
    text = HOSTILE[name][: len(HOSTILE[name]) // 64]
    start = time.process_time()
    ((found,),) = extract_code([[text]], [document(language, answer)])
    assert isinstance(found, Solution)
    assert time.process_time() - start < 10


def test_score_takes_answers(tmp_path: Path) -> None:
    """With --chat, and by the fields of a run's own samples.jsonl without it."""
    rows = [json.loads(line) for line in (REPOSITORY / "tasks/tiny/tiny-python.jsonl").read_text().splitlines()[:2]]
    answers = [f"Sure:\n\n```python\n{row['prompt']}{row['canonical_solution']}\n```\nDone." for row in rows]
    plain = [{"task_id": row["task_id"], "completion": text} for row, text in zip(rows, answers, strict=True)]
    own = [{**row, "solution": "", "prompt_sha": ""} for row in plain]
    for name, lines_, chat, passed in (("a", plain, False, 0), ("b", plain, True, 2), ("c", own, False, 2)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines_))
        result = score("tiny-python", path, chat=chat)
        assert result.report.passed == passed
        if passed:
            assert [line["completion"] for line in result.samples] == answers
            assert not any("Done." in str(line["solution"]) for line in result.samples)
