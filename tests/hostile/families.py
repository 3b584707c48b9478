"""Families of hostile programs, each of one kind, made from one template and many values; none needs to be told apart.

What they have in common: they may end in any way but a pass, and must leave nothing that the next program notices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tests.hostile import NOT_PASSED, Hostile, java, python
from tests.hostile.java_programs import WRONG

VALUE = "§"


@dataclass(frozen=True)
class Family:
    """Programs of one kind. `slow`: they run into a limit, or take seconds."""

    kind: str
    programs: tuple[Hostile, ...]
    slow: bool = False


def python_family(kind: str, template: str, values: Iterable[object], *, slow: bool = False) -> Family:
    """One program for each value, which replaces § in the template."""
    made = [python(f"{kind} {n}", template.replace(VALUE, str(value)), *NOT_PASSED) for n, value in enumerate(values)]
    return Family(f"python: {kind}", tuple(made), slow)


def java_family(kind: str, template: str, values: Iterable[object], *, slow: bool = False, besides: str = "") -> Family:
    """One program for each value; the template is the body of `static int f() throws Throwable`, which returns 2.

    A template that has a method `f` of its own stands as it is, among the class's members.
    """
    made = []
    for n, value in enumerate(values):
        body, classes = (text.replace(VALUE, str(value)) for text in (template, besides))
        members = body if " f()" in body else f"static int f() throws Throwable {{ {body} return 2; }}"
        made.append(java(f"{kind} {n}", members, *NOT_PASSED, tests=WRONG, besides=classes))
    return Family(f"java: {kind}", tuple(made), slow)


def forged_families() -> list[Family]:
    """The forged passes, by kind: what they do to the checker must not show in the next program's verdict."""
    from tests.hostile.forgery import PROBLEMS, forgeries

    by_kind: dict[str, list[Hostile]] = defaultdict(list)
    for each in forgeries():
        tests = PROBLEMS[each.problem].tests
        by_kind[each.kind].append(Hostile(f"forged: {each.name}", "python", each.source, tests, NOT_PASSED))
    return [Family(f"python: {kind}", tuple(programs)) for kind, programs in by_kind.items()]


def families() -> list[Family]:
    """All of them, and the corpus by its modules."""
    from tests.hostile import (
        java_families,
        java_programs,
        java_resources,
        java_sources,
        python_exits,
        python_families,
        python_host,
        python_leavings,
        python_resources,
        python_tokens,
    )

    corpus = {
        "python: ends early": python_exits.EXITS,
        "python: patches": python_exits.PATCHES,
        "python: forges reports": python_tokens.PROGRAMS,
        "python: looks for secrets": python_host.SECRETS,
        "python: writes to the host": python_host.WRITES,
        "python: the network": python_host.NETWORK,
        "python: other processes": python_host.PROCESSES,
        "python: leaves things": python_host.LEFTOVERS,
        "java: ends early": java_programs.EXITS,
        "java: assertions": java_programs.ASSERTIONS,
        "java: forges reports": java_programs.FORGERS,
        "java: the host": java_programs.HOST,
        "java: compiling": java_resources.COMPILING,
        "java: leaves things": java_resources.LEFTOVERS,
    }
    slow = {"python: resources": python_resources.PROGRAMS, "java: resources": java_resources.LIMITS}
    known = [Family(kind, tuple(programs)) for kind, programs in corpus.items()]
    known += [Family(kind, tuple(programs), True) for kind, programs in slow.items()]
    modules = (python_leavings, python_families, java_families, java_sources)
    known += forged_families()
    return [*known, *(family for module in modules for family in module.FAMILIES)]
