"""Wrong programs as models write them, made from right ones: one token of the solution changed.

What a change leads to is found by running it: a failed assertion, an exception, or a program that does not compile (in
Python, a syntax error). The mix holds 50, 20 and 30 in 100 of these.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from qharness import Program, Status
from qharness.execution import choose_isolation, run_programs
from qharness.registry import get_registry

_VALUES = ((" < ", " >= "), (" + 1", " + 2"), (" == ", " != "), (" - ", " + "), (" true", " false"), (" 0", " 1"))
_EXCEPTIONS = {
    "python": (("[i]", "[i + 99]"), ("return ", "return None."), ("len(", "int(")),
    "java": (("[i]", "[i + 99]"), ("return ", "if (true) throw new RuntimeException(); return "), (".get(", ".get(9+")),
    **dict.fromkeys(("c", "cpp"), (("return ", "*(volatile int *)0 = 1; return "),)),
    **dict.fromkeys(("javascript", "typescript"), (("return ", "throw new Error('no'); return "),)),
    "go": (("return ", "if x := []int{}; len(x) == 0 { _ = x[len(x)] }; return "),),
}  # fmt: skip
_SYNTAX = {
    **dict.fromkeys(("c", "cpp", "go", "javascript", "typescript"), (("return ", "return ) "), ("}", ""))),
    "python": ((":\n", "\n"), (")\n", "\n")),
    "java": ((";\n", "\n"), ("return ", "return undefined + ")),
}
_PATTERN = ("failed", "error", "failed", "compile", "failed", "compile", "failed", "error", "compile", "failed")
_MOST = {"python": 200, "java": 200}  # right programs that are changed
_FEW = 12  # in other languages
_SECONDS = 2


def wrong(language: str, right: Sequence[Program], longest: float) -> dict[str, list[Program]]:
    """Wrong programs by how they end, none of which takes more than `longest` seconds."""
    changes = (*_VALUES, *_EXCEPTIONS[language], *_SYNTAX[language])
    few = right[: _MOST.get(language, _FEW)]
    made = [changed(program, old, new) for program in few for old, new in changes if old in program.source]
    limits = dataclasses.replace(get_registry().language(language).limits, cpu_seconds=_SECONDS, wall_seconds=_SECONDS)
    outcomes = run_programs(made, get_registry().language, choose_isolation(), limits=limits)
    found: dict[str, list[Program]] = {kind: [] for kind in _PATTERN}
    for program, outcome in zip(made, outcomes, strict=True):
        if outcome.seconds > longest:
            continue
        if outcome.status is Status.COMPILE_ERROR or outcome.detail.startswith(("SyntaxError", "IndentationError")):
            found["compile"].append(program)
        elif outcome.status in (Status.FAILED, Status.ERROR):
            found[str(outcome.status)].append(program)
    return found


def changed(program: Program, old: str, new: str) -> Program:
    """`program` with the last `old` of its solution replaced."""
    before, _, after = program.source.rpartition(old)
    return dataclasses.replace(program, source=before + new + after)


def pick(found: dict[str, list[Program]], number: int) -> Program:
    """The wrong program of that number."""
    kind = _PATTERN[number % len(_PATTERN)]
    some = found[kind]
    return some[number * 7 % len(some)]
