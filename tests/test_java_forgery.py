"""Ways to forge a pass in Java: none passes, but for those that are known to remain, and these say that they may."""

from __future__ import annotations

import pytest

from qharness import Limits, Outcome, Program
from qharness.execution import choose_isolation, run_programs
from qharness.registry import get_registry
from tests.java_forgeries import FORGERIES, LANGUAGE, MACHINE, PROMPTS, REMAINING, VALUES

LIMITS = Limits(cpu_seconds=4, wall_seconds=8.0, output_bytes=10_000, processes=128)
RIGHT = {
    "long": "return 2 * n + 1;",
    "list": "return new ArrayList<>(List.of(3L, 7L)) {{ trimToSize(); }};",
    "any list": "return Collections.unmodifiableList(Arrays.asList(3L, 7L));",
    "contains": "return Stream.of(3L, 7L).collect(Collectors.toList());",
    "set": "Set<Long> s = new TreeSet<>(Comparator.reverseOrder()); s.addAll(List.of(3L, 7L)); return s;",
    "expected set": "return new TreeSet<Long>((a, b) -> Long.compare(b, a)) {{ add(3L); add(7L); }};",
    "map": 'return new HashMap<>() {{ put("a", 7L); }};',
    "optional": "return Optional.of(7L);",
    "pair": "return Pair.with(n, 2 * n + 1);",
    "object": 'return "right";',
    "text": 'return "right";',
    "number": "return 7L;",
    "comparable": "return 7L;",
    "array": 'return new String[] {"right"};',
    "argument": "} static void g(List<Long> l) { l.set(0, 7L);",
    "objects": "return 7L;",
    "maximum": "return 7;",
    "function": 'return x -> "right";',
    "iterator": 'return new Iterator<>() { public boolean hasNext() { return true; } public Object next() { return "right"; } };',
    "exception": 'return new RuntimeException() { public String toString() { return "right"; } };',
    "helper": "return 7;",
    "built": "return List.of(7);",
    "members": "List<Integer> g(int x) { return List.of(3, 7); }",
    "named": "static int h(int x) { return 7; } int k(int x) { return 7; }",
}


def programs(completions: dict[str, tuple[str, str]]) -> list[Program]:
    pairs = [(*PROMPTS[kind], text) for kind, text in completions.values()]
    return [Program("java", before + text, after, "Problem") for before, after, text in pairs]


def run(programs: list[Program]) -> list[Outcome]:
    return run_programs(programs, get_registry().language, choose_isolation(), limits=LIMITS)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    return dict(zip(FORGERIES, run(programs(FORGERIES)), strict=True))


@pytest.mark.parametrize("way", FORGERIES)
def test_no_forgery_passes(way: str, outcomes: dict[str, Outcome]) -> None:
    assert not outcomes[way].passed


def test_the_ways_are_many_and_distinct() -> None:
    assert len(FORGERIES) == len(LANGUAGE) + len(VALUES) + len(MACHINE) >= 100
    assert len(set(FORGERIES.values())) == len(FORGERIES)


def test_right_answers_to_the_same_prompts_pass() -> None:
    """Whatever collections they come in."""
    outcomes = run(programs({kind: (kind, text) for kind, text in RIGHT.items()}))
    assert dict(zip(RIGHT, outcomes, strict=True)) and set(RIGHT) == set(PROMPTS)
    assert {kind: o for kind, o in zip(RIGHT, outcomes, strict=True) if not (o.passed and o.in_process)} == {}


def test_what_remains_is_known_and_marked() -> None:
    outcomes = run([Program("java", before + text, after, "Problem") for before, text, after in REMAINING.values()])
    assert len(REMAINING) <= 2 and all(outcome.passed and outcome.in_process for outcome in outcomes)
