"""Inputs for a problem, what the Python reference makes of them, and the same as Python and Java text."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinycoder.dialects import PYTHON
from tinycoder.problems import Problem
from tinycoder.steps import JAVA_BOXES, PYTHON_TYPES
from tinycoder.writing import Writer

WORDS = (
    "red", "stone", "level", "Tree", "noon", "river", "sand", "Anna", "otter", "rain", "a",
    "Iris", "ten", "nest", "radar", "Ice", "sea", "tent", "area", "oar", "STAR", "north",
    "eat", "tea", "onion", "is", "at", "rotor", "Sun", "moss", "I", "arena",
)  # fmt: skip
LARGEST = 10**12
TRIES = 60


@dataclass(frozen=True)
class Case:
    """Arguments and the result that the reference gives."""

    arguments: tuple[Any, ...]
    result: Any


def signature(problem: Problem) -> str:
    """The Python function's first line."""
    parameters = ", ".join(f"{name}: {PYTHON_TYPES[kind]}" for kind, name in problem.parameters)
    return f"def {problem.name}({parameters}) -> {PYTHON_TYPES[problem.gives]}:\n"


def reference(problem: Problem) -> Callable[..., Any]:
    """The problem as a Python function."""
    code = "from typing import Dict, List\n" + signature(problem) + Writer(problem, PYTHON, random.Random(0)).write()
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    return namespace[problem.name]  # type: ignore[no-any-return]


def draw(problem: Problem, rng: random.Random, count: int) -> list[Case]:
    """At most `count` cases, the empty input among them where there is one, with results as different as they come."""
    function = reference(problem)
    found: dict[str, Case] = {}
    spare: dict[str, Case] = {}
    for attempt in range(TRIES):
        arguments = _arguments(problem, rng, empty=attempt == 0)
        case = Case(arguments, function(*arguments))
        if _sober(case.result):
            (spare if repr(case.result) in {repr(each.result) for each in found.values()} else found).setdefault(
                repr(arguments), case
            )
    return [*found.values(), *spare.values()][:count]


def varied(cases: list[Case], problem: Problem) -> bool:
    """Whether the results tell a right program from a constant one."""
    return len({repr(case.result) for case in cases}) >= (2 if problem.gives == "bool" or problem.finisher else 4)


def _sober(result: Any) -> bool:
    numbers = (
        [result]
        if isinstance(result, int)
        else [value for value in (result if isinstance(result, list) else []) if isinstance(value, int)]
    )
    return all(abs(number) < LARGEST for number in numbers) and len(repr(result)) < 200


def _arguments(problem: Problem, rng: random.Random, empty: bool) -> tuple[Any, ...]:
    small = problem.sink.small
    extra = [bound.argument for bound in problem.bounds if bound and bound.parameter]
    inputs = [_input(kind, rng, empty, small) for kind, _ in problem.inputs]
    return (*inputs, *(_extra(each.kind, each.low, each.high, rng) for each in extra))


def _input(kind: str, rng: random.Random, empty: bool, small: bool) -> Any:
    size = 0 if empty else rng.randint(2, 4 if small else 8)
    bound = 6 if small else 20

    def numbers(length: int) -> list[int]:
        return [rng.randint(-bound * 2 // 3, bound) for _ in range(length)]

    makers: dict[str, Callable[[], Any]] = {
        "ints": lambda: numbers(size),
        "rows": lambda: [numbers(rng.randint(1, 2 if small else 4)) for _ in range(min(size, 3))],
        "words": lambda: rng.choices(WORDS, k=size),
        "word": lambda: " ".join(rng.choices(WORDS, k=max(size, 1))),
        "table": lambda: {word: rng.randint(-9, bound) for word in rng.sample(WORDS, size)},
        "int": lambda: (
            rng.randint(1, 8) if small else rng.choice((rng.randint(1, 9), rng.randint(10, 99), rng.randint(10, 40)))
        ),
    }
    return makers[kind]()


def _extra(kind: str, low: int, high: int, rng: random.Random) -> Any:
    makers: dict[str, Callable[[], Any]] = {
        "int": lambda: rng.randint(low, high),
        "letter": lambda: rng.choice("aeinorst"),
        "word": lambda: rng.choice(WORDS),
    }
    return makers[kind]()


def python_call(problem: Problem, case: Case, name: str) -> str:
    """A call as Python writes it."""
    return f"{name}({', '.join(map(python_text, case.arguments))})"


def python_text(value: Any) -> str:
    """A value as Python writes it, words in double quotes."""
    return repr(value) if isinstance(value, bool | int) else json.dumps(value)


def java_call(problem: Problem, case: Case) -> str:
    """A call as Java writes it."""
    arguments = [java_text(value, kind) for value, (kind, _) in zip(case.arguments, problem.parameters, strict=True)]
    return f"{camel(problem.name)}({', '.join(arguments)})"


def java_text(value: Any, kind: str) -> str:
    """A value of a kind as Java writes it."""
    plain: dict[str, Callable[[], str]] = {
        "int": lambda: f"{value}l",
        "bool": lambda: json.dumps(value),
        "word": lambda: json.dumps(value),
        "ints": lambda: _java_list([java_text(each, "int") for each in value], "int"),
        "words": lambda: _java_list([java_text(each, "word") for each in value], "word"),
        "rows": lambda: (
            f"new ArrayList<ArrayList<Long>>(Arrays.asList({', '.join(java_text(each, 'ints') for each in value)}))"
        ),
        "table": lambda: _java_table(value),
    }
    return plain[kind]()


def _java_list(items: list[str], kind: str) -> str:
    return f"new ArrayList<{JAVA_BOXES[kind]}>(Arrays.asList({', '.join(items)}))"


def _java_table(value: dict[str, int]) -> str:
    entries = ", ".join(f"Map.entry({json.dumps(key)}, {number}l)" for key, number in value.items())
    return f"new HashMap<String, Long>(Map.ofEntries({entries}))"


def java_check(problem: Problem, case: Case) -> str:
    """The condition that a right Java method meets."""
    same = "({call} == ({result}))" if problem.gives in ("int", "bool") else "({call}.equals({result}))"
    return same.format(call=java_call(problem, case), result=java_text(case.result, problem.gives))


def camel(name: str) -> str:
    """`some_name` as `someName`."""
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)
