"""The hostile programs of the languages in which a program is one text and a test is another, by language."""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import tempfile
from types import ModuleType

from qharness import Limits, MissingDependencyError, Program
from qharness.api.languages import Outcome
from qharness.execution import choose_isolation, run_programs
from qharness.registry import get_registry

OTHERS = ("c", "cpp", "go", "javascript", "typescript")
LIMITS = {
    "c": Limits(cpu_seconds=2, wall_seconds=3.0, memory_bytes=256 << 20, output_bytes=100_000, processes=24),
    "cpp": Limits(cpu_seconds=4, wall_seconds=4.0, memory_bytes=512 << 20, output_bytes=100_000, processes=24),
    "go": Limits(cpu_seconds=4, wall_seconds=4.0, memory_bytes=256 << 20, output_bytes=100_000, processes=40),
    "typescript": Limits(cpu_seconds=4, wall_seconds=4.0, memory_bytes=384 << 20, output_bytes=100_000, processes=40),
    "javascript": Limits(cpu_seconds=2, wall_seconds=3.0, memory_bytes=256 << 20, output_bytes=100_000, processes=40),
}


def module(language: str) -> ModuleType:
    """The module of a language's programs: QUICK, SLOW, FORGEABLE, HONEST, TESTS and HEAD."""
    return importlib.import_module(f"tests.hostile.{language}_programs")


def missing(language: str) -> str:
    """What is missing of a language's tools; empty if nothing is."""
    try:
        get_registry().language(language).toolchain(LIMITS[language])
    except MissingDependencyError as error:
        return str(error)
    return ""


def among_honest(
    language: str, sources: dict[str, str], seed: int, targets: dict[str, str], workers: int = 2
) -> tuple[dict[str, Outcome], list[str]]:
    """Run hostile programs in a random order, an honest one after every third; return (their outcomes, what went wrong).

    Wrong is each verdict on an honest program that is not as it must be. `targets` replace names between at signs.
    """
    texts = module(language)
    rng, names = random.Random(seed), list(sources)
    rng.shuffle(names)
    placed: list[tuple[str, str, Program]] = []
    for number, name in enumerate(names):
        source = texts.HEAD + sources[name]
        for target, place in targets.items():
            source = source.replace(f"@{target}@", place)
        placed.append((name, "", Program(language, source, texts.TESTS)))
        if number % 3 == 2 or number == len(names) - 1:
            status = rng.choice(list(texts.HONEST))
            source, tests = (part.format(seed * 1000 + number) for part in texts.HONEST[status])
            placed.append((f"honest {number}", status, Program(language, texts.HEAD + source, tests)))
    programs = [program for _, _, program in placed]
    found = run_programs(
        programs, get_registry().language, choose_isolation(), limits=LIMITS[language], workers=workers
    )
    outcomes, wrong = {}, []
    for (name, expected, _), outcome in zip(placed, found, strict=True):
        if not expected:
            outcomes[name] = outcome
        elif outcome.status != expected:
            wrong.append(f"{name}: {expected} -> {outcome}")
    return outcomes, wrong


def main() -> None:
    """Run all hostile programs of a language among honest ones, and print what passed and what went wrong, as JSON.

    Usage: python -m tests.hostile.others LANGUAGE SEED WORKERS TARGETS-AS-JSON
    """
    language, seed, workers, targets = sys.argv[1:]
    os.environ.pop("QHARNESS_ALLOW_UNSANDBOXED", None)  # some of these programs delete all they can
    with tempfile.TemporaryDirectory() as folder:
        os.environ["QHARNESS_CACHE_DIR"] = folder
        sources = {**module(language).QUICK, **module(language).SLOW}
        outcomes, wrong = among_honest(language, sources, int(seed), json.loads(targets), int(workers))
    passed = [name for name, outcome in outcomes.items() if outcome.passed]
    print(json.dumps({"passed": passed, "wrong": wrong, "hostile": len(outcomes)}))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()
