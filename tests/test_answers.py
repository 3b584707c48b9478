"""Code is taken out of made answers, and what is taken out passes its problem's tests."""

from __future__ import annotations

import tomllib
from functools import cache
from typing import Any

import pytest

from qharness.answers.solution import Solution
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
