"""The problems to test on: held-out compositions, and fresh problems of compositions that training has too."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from tinycoder import cases, texts
from tinycoder.english import canonical
from tinycoder.problems import Composition, Problem, held_out, stream

HELD_OUT_SEED, SEEN_SEED = 20_001, 30_001
CASES = 8
Document = dict[str, Any]


def problems(
    seed: int, count: int, accepts: Callable[[Composition], bool]
) -> Iterator[tuple[Problem, list[cases.Case]]]:
    """`count` problems of different compositions, with cases that tell right from wrong."""
    rng = random.Random(seed)
    seen: set[Composition] = set()
    for problem in stream(rng, accepts):
        if problem.composition in seen:
            continue
        found = cases.draw(problem, rng, CASES)
        if len(found) == CASES and cases.varied(found, problem):
            seen.add(problem.composition)
            yield problem, found
        if len(seen) == count:
            return


def documents(language: str, seen: bool = False, count: int = 100) -> list[Document]:
    """A code task's documents; the same problems in the same order in both languages."""
    seed, accepts = (SEEN_SEED, lambda key: not held_out(key)) if seen else (HELD_OUT_SEED, held_out)
    make = {"python": _python, "java": _java}[language]
    kind = "seen" if seen else "held-out"
    found = enumerate(problems(seed, count, accepts))
    return [
        {
            "task_id": f"tiny-{language}/{kind}/{n}",
            "language": language,
            **make(problem, drawn, random.Random(seed + n)),
        }
        for n, (problem, drawn) in found
    ]


def summaries(count: int = 100) -> list[Document]:
    """Programs of held-out compositions with their summaries."""
    found = []
    for n, (problem, _) in enumerate(problems(HELD_OUT_SEED, count, held_out)):
        text = texts.summary_text(problem, random.Random(HELD_OUT_SEED + n))
        found.append(
            {
                "task_id": f"tiny-summary/{n}",
                "prompt": text.prompt,
                "summary": canonical(problem),
                "composition": list(problem.composition),
            }
        )
    return found


def _python(problem: Problem, drawn: list[cases.Case], rng: random.Random) -> Document:
    text = texts.python_text(problem, rng)
    asserts = "".join(
        f"    assert {cases.python_call(problem, case, 'candidate')} == {cases.python_text(case.result)}\n"
        for case in drawn
    )
    tests = f"\n\ndef check(candidate):\n{asserts}\n\ncheck({problem.name})\n"
    return {
        "prompt": text.prompt,
        "canonical_solution": text.completion,
        "tests": tests,
        "entry_class": "",
        "composition": list(problem.composition),
    }


def _java(problem: Problem, drawn: list[cases.Case], rng: random.Random) -> Document:
    text = texts.java_text(problem, rng)
    camelled = texts.camelled(problem)
    asserts = "".join(f"        assert{cases.java_check(camelled, case)};\n" for case in drawn)
    tests = f"    public static void main(String[] args) {{\n{asserts}    }}\n}}\n"
    return {
        "prompt": text.prompt,
        "canonical_solution": text.completion,
        "tests": tests,
        "entry_class": "Problem",
        "composition": list(problem.composition),
    }
