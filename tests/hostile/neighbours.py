"""Runs honest programs among hostile ones and prints which verdicts on the honest ones are not as they must be.

Usage: python -m tests.hostile.neighbours SEED WORKERS HONEST QUICK, where QUICK is the number of hostile programs that
are drawn from the quick families, or `all` for every program of every family. A second round, in another order, finds
half of the verdicts in the cache.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from qharness import Program, Status, cache_dir
from qharness.api.languages import Outcome
from qharness.execution import choose_isolation, run_programs
from qharness.execution.verdicts import VerdictCache
from qharness.registry import get_registry
from tests.hostile import LIMITS, Places, can_run
from tests.hostile.families import families

PYTHON_HONEST = {
    Status.PASSED: ("def f(x): return x + {0}", "assert f(1) == {0} + 1"),
    Status.FAILED: ("def f(x): return x", "assert f(1) == {0} + 2"),
    Status.ERROR: ("def f(x): raise ValueError('number {0}')", "assert f(1) == {0}"),
    Status.COMPILE_ERROR: ("def f(x: return {0}", "assert f(1) == {0}"),
    Status.EARLY_EXIT: ("import sys\ndef f(x): sys.exit({0})", "assert f(1) == {0}"),
}
_MAIN = "public static void main(String[] a) {{ assert f(1) == {0} + 1; }} }}"
JAVA_HONEST = {
    Status.PASSED: ("class Problem {{ static int f(int x) {{ return x + {0}; }}", _MAIN),
    Status.FAILED: ("class Problem {{ static int f(int x) {{ return x - {0}; }}", _MAIN),
    Status.ERROR: ('class Problem {{ static int f(int x) {{ throw new IllegalStateException("number {0}"); }}', _MAIN),
    Status.COMPILE_ERROR: ("class Problem {{ static int f(int x) {{ return {0} }}", _MAIN),
    Status.EARLY_EXIT: ("class Problem {{ static int f(int x) {{ System.exit(0); return {0}; }}", _MAIN),
}
_RICHER = (
    "import java.util.*;\nimport java.util.stream.*;\nclass Problem {{ static int f(int x) {{ return Arrays.asList(x, {0}).stream()"
    '.collect(Collectors.summingInt(y -> y)) + String.format("%,d", 0).length() - "A".toLowerCase().length(); }}'
)
HONEST = {
    "python": [*PYTHON_HONEST.items(), (Status.PASSED, ("import json, math\ndef f(x): return json.loads(json.dumps([x, {0}]))", "assert math.isclose(sum(f(1)), {0} + 1)"))],
    "java": [*JAVA_HONEST.items(), (Status.PASSED, (_RICHER, _MAIN))],
}  # fmt: skip


@dataclass(frozen=True)
class Placed:
    """A program in its place; `expected` is None for a hostile one."""

    name: str
    program: Program
    expected: Status | None = None


def honest(language: str, number: int) -> Placed:
    """One of the honest programs, by turns; each number makes another text."""
    status, (source, tests) = HONEST[language][number % len(HONEST[language])]
    entry = "Problem" if language == "java" else ""
    program = Program(language, source.format(number), tests.format(number), entry)
    return Placed(f"honest {language} {number}", program, status)


def hostile(places: Places, rng: random.Random, quick: int | None) -> list[Placed]:
    """All hostile programs, or as many quick ones, of as many kinds as there may be."""
    chosen = [family for family in families() if can_run(family.kind.partition(":")[0])]
    if quick is not None:
        chosen = [family for family in chosen if not family.slow]
    programs = [program for family in chosen for program in family.programs]
    if quick is not None:
        rng.shuffle(chosen)
        programs = [rng.choice(family.programs) for family in (chosen * quick)[:quick]]
    return [Placed(each.name, each.program(places)) for each in dict.fromkeys(programs)]


def is_right(outcome: Outcome, placed: Placed) -> bool:
    """Whether an honest program ended as it must, and says what it must."""
    number = placed.name.split()[-1]
    return outcome.status is placed.expected and (
        placed.expected is not Status.ERROR or f"number {number}" in outcome.detail
    )


def run(placed: list[Placed], workers: int, verdicts: VerdictCache) -> list[Outcome]:
    """The outcomes of programs in their order, each under the limits of its language."""
    outcomes: dict[str, Outcome] = {}
    for language in {each.program.language for each in placed}:
        mine = [each for each in placed if each.program.language == language]
        programs, limits = [each.program for each in mine], LIMITS[language]
        found = run_programs(
            programs, get_registry().language, choose_isolation(), limits=limits, workers=workers, verdicts=verdicts
        )
        outcomes |= {each.name: outcome for each, outcome in zip(mine, found, strict=True)}
    return [outcomes[each.name] for each in placed]


def changed(placed: list[Placed], outcomes: list[Outcome], label: str) -> list[str]:
    """A line for each honest program whose verdict is not as it must be, with the hostile ones just before it."""
    lines = []
    for at, (each, outcome) in enumerate(zip(placed, outcomes, strict=True)):
        if each.expected and not is_right(outcome, each):
            same = [p.name for p in placed[:at] if not p.expected and p.program.language == each.program.language]
            lines.append(
                f"{label}: {each.name}: {each.expected} -> {outcome.status} {outcome.detail[:80]!r} after {same[-3:]}"
            )
    return lines  # fmt: skip


def main() -> None:
    """Two rounds: the second in another order, with the cache that the first has filled and as many new programs."""
    seed, workers, count, quick = sys.argv[1:]
    rng = random.Random(int(seed))
    os.environ.pop("QHARNESS_ALLOW_UNSANDBOXED", None)  # some of these programs delete all they can
    with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile(dir=folder) as target:
        os.environ["QHARNESS_CACHE_DIR"] = os.environ.get("QHARNESS_CACHE_DIR", folder)
        shutil.rmtree(cache_dir() / "verdicts", ignore_errors=True)
        mark = f"qharness-{secrets.token_hex(6)}"
        places = Places(
            9, mark, target.name, str(Path(__file__).parents[2]), folder, "/usr", mark, os.cpu_count() or 1, 0
        )
        enemies = hostile(places, rng, None if quick == "all" else int(quick))
        verdicts, report, cached = VerdictCache(), [], 0
        present = [language for language in HONEST if can_run(language)]
        for number, label in enumerate(("cold", "warm")):
            mine = [honest(language, n) for n in range((number + 1) * int(count) // 2) for language in present]
            placed = [*enemies, *mine]
            rng.shuffle(placed)
            outcomes = run(placed, int(workers), verdicts)
            report += changed(placed, outcomes, label)
            cached += sum(o.cached for o, p in zip(outcomes, placed, strict=True) if p.expected)
    document = {"changed": report, "honest": len(mine), "hostile": len(enemies), "cached": cached}
    print(json.dumps(document))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
