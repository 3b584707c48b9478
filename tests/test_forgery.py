"""No program passes its tests without being right: a corpus of ways to, none of which may work."""

from __future__ import annotations

from collections import Counter

import pytest

from qharness import Limits, Outcome, Program
from qharness.execution import choose_isolation, run_programs
from qharness.registry import get_registry
from tests.hostile.forgery import COMPARED, LENT, PROBLEMS, REACHING_IN, forgeries

CORPUS = forgeries()
REMAINING = {
    REACHING_IN: "tests that await, capture what is printed, mock or run doctests do so in the program's own process",
    COMPARED: "two objects of the solution's own classes are compared by these classes",
    LENT: "a helper or an exception that tests use and do not define themselves is the solution's",
}
"""Kinds of which one may pass, if its verdict says that the tests ran in the program's own process."""
LIMITS = Limits(cpu_seconds=1, wall_seconds=2.0, memory_bytes=256 << 20, output_bytes=100_000, processes=16)


def run(programs: list[Program]) -> list[Outcome]:
    return run_programs(programs, get_registry().language, choose_isolation(), limits=LIMITS, workers=2)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """Of every forgery, by name."""
    found = run([forgery.program() for forgery in CORPUS])
    return {forgery.name: outcome for forgery, outcome in zip(CORPUS, found, strict=True)}


@pytest.mark.parametrize("forgery", CORPUS, ids=lambda forgery: forgery.name)
def test_no_forgery_passes(outcomes: dict[str, Outcome], forgery) -> None:
    outcome = outcomes[forgery.name]
    assert not outcome.passed or (forgery.kind in REMAINING and outcome.in_process), outcome


def test_right_solutions_pass_and_wrong_ones_do_not() -> None:
    """Otherwise nothing would be said by what does not pass."""
    right, wrong = ([Program("python", s, p.tests) for s, p in pairs] for pairs in (
        [(p.right, p) for p in PROBLEMS.values()], [(p.wrong, p) for p in PROBLEMS.values()]
    ))  # fmt: skip
    names = list(PROBLEMS)
    assert [(name, o) for name, o in zip(names, run(right), strict=True) if not o.passed] == []
    assert [(name, o) for name, o in zip(names, run(wrong), strict=True) if o.status != "failed"] == []


def test_it_is_a_corpus() -> None:
    names = [forgery.name for forgery in CORPUS]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert len({(f.problem, f.source) for f in CORPUS}) == len(CORPUS) >= 200
    assert len({forgery.kind for forgery in CORPUS}) >= 15
    assert len(REMAINING) <= 3
    for forgery in CORPUS:
        compile(forgery.source, forgery.name, "exec")
