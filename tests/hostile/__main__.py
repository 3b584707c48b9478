"""Runs the corpus and prints what happened, for a test that watches the host meanwhile.

Usage: python -m tests.hostile PLACES-AS-JSON
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from qharness import Program, SandboxError, Status, cache_dir
from qharness.api.languages import Outcome
from qharness.execution import choose_isolation, run_programs
from qharness.registry import get_registry
from tests.hostile import BROKEN_IN, LIMITS, Hostile, Places, can_run, corpus

HARMLESS = {
    "python": ("def f(): return {}", "import math\nassert math.isclose(f(), {}) and abs(f()) == len('x' * f())"),
    "java": ("class Problem {{ static int f() {{ return {}; }}", "public static void main(String[] a) {{ assert f() == {}; }} }}"),
}  # fmt: skip
EVERY = 6


def harmless(language: str, number: int) -> Hostile:
    """A right program between the hostile ones: what they do must not show in it."""
    source, tests = (part.format(number, number) for part in HARMLESS[language])
    return Hostile(f"{language}: bystander {number}", language, source, tests, frozenset({Status.PASSED}))


def files() -> set[str]:
    """What is in the cache and in the folder for temporary files."""
    return {str(p) for folder in (cache_dir(), Path(tempfile.gettempdir())) for p in folder.rglob("*")}


def zombies() -> list[str]:
    """Our children that ended and that nobody waited for."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == os.getpid() and state == "Z":
            found.append(stat.parent.name)
    return found


def run(programs: list[Hostile], places: Places, workers: int) -> dict[str, Outcome]:
    """The outcomes of programs of one language, by name."""
    made: list[Program] = [each.program(places) for each in programs]
    limits = LIMITS[programs[0].language]
    try:
        outcomes = run_programs(made, get_registry().language, choose_isolation(), limits=limits, workers=workers)
    except SandboxError as error:  # one of them broke the whole batch: find it
        if len(programs) == 1:
            return {programs[0].name: Outcome(Status.PASSED, f"{BROKEN_IN}: {error}")}
        return {name: outcome for each in programs for name, outcome in run([each], places, workers).items()}
    return {each.name: outcome for each, outcome in zip(programs, outcomes, strict=True)}


def main() -> None:
    """Two workers for the corpus; those that look for what another left follow it on one worker of their own."""
    places = Places(**json.loads(sys.argv[1]))
    os.environ.pop("QHARNESS_ALLOW_UNSANDBOXED", None)  # some of these programs delete all they can
    outcomes: dict[str, Outcome] = {}
    by_language: dict[str, list[Hostile]] = defaultdict(list)
    for each in corpus():
        if can_run(each.language):
            by_language[each.language].append(each)
    for language in by_language:
        run([harmless(language, 1)], places, 1)
    before = files()
    seconds = {}
    for language, programs in by_language.items():
        begun = time.monotonic()
        lookers = [p for p in programs if p.next_to]
        leavers = [p for p in programs if p.name in {each.next_to for each in lookers}]
        rest: list[Hostile] = []
        for number, each in enumerate(p for p in programs if p not in (*lookers, *leavers)):
            rest += [each, harmless(language, number)] if number % EVERY == 0 else [each]
        outcomes |= run([*rest, harmless(language, 999)], places, 2)
        outcomes |= run([*leavers, *lookers], places, 1)
        seconds[language] = round(time.monotonic() - begun, 1)
    document = {
        "isolation": choose_isolation().name,
        "outcomes": {name: [str(o.status), o.detail, o.seconds] for name, o in outcomes.items()},
        "left": sorted(files() - before),
        "zombies": zombies(),
        "seconds": seconds,
    }
    print(json.dumps(document))  # noqa: T201 - the test reads it


main()
