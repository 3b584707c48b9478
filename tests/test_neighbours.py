"""What a program's neighbours do never shows in its verdict: any order, one worker or eight, a cold cache or a warm one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import REPOSITORY
from tests.hostile import can_run
from tests.hostile.families import families
from tests.hostile.neighbours import HONEST
from tests.test_hostile import USERS, WAYS, User

FAMILIES = families()
CACHE = f".neighbours-{os.getpid()}"
"""A folder of the user's own: what is compiled once for all runs is in it."""


@pytest.fixture(scope="module", params=USERS)
def user(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    with ExitStack() as stack:
        found = stack.enter_context(WAYS[request.param](tmp_path_factory.mktemp("user")))  # type: ignore[arg-type, var-annotated]
        if found.package != REPOSITORY:  # a copy of the package says no version, which a verdict's key needs
            information = found.package / "qharness-1.0.dist-info"
            information.mkdir()
            (information / "METADATA").write_text("Metadata-Version: 2.1\nName: qharness\nVersion: 1.0\n")
        stack.callback(shutil.rmtree, found.home / CACHE, ignore_errors=True)
        yield found


def run(user: User, *arguments: object, timeout: int = 120) -> dict[str, object]:
    """What `python -m tests.hostile.neighbours` found, with no verdict in the cache."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(user.home),
        "PYTHONPATH": str(user.package),
        "PYTHONDONTWRITEBYTECODE": "1",
        "QHARNESS_CACHE_DIR": str(user.home / CACHE),
    }
    command = [user.python, "-m", "tests.hostile.neighbours", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd="/", env=environment, timeout=timeout, **user.options
    )  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("seed", "workers"), [(1, 1), pytest.param(2, 8, marks=pytest.mark.long)])
def test_a_sample_changes_no_verdict(user: User, seed: int, workers: int) -> None:
    found = run(user, seed, workers, 10, 18)
    assert found["changed"] == []
    assert found["hostile"] >= 15 and found["cached"] >= 4 * sum(map(can_run, HONEST))


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "workers"), [(3, 1), (4, 8)])
def test_the_whole_changes_no_verdict(user: User, seed: int, workers: int) -> None:
    found = run(user, seed, workers, 120, "all", timeout=3600)
    assert found["changed"] == []
    assert found["hostile"] >= 400 and found["honest"] == 240 and found["cached"] >= 120


def test_they_are_many_and_of_many_kinds() -> None:
    names = Counter(program.name for family in FAMILIES for program in family.programs)
    assert [name for name, count in names.items() if count > 1] == []
    assert len({(p.language, p.source, p.tests) for f in FAMILIES for p in f.programs}) >= 400
    assert len({family.kind for family in FAMILIES}) == len(FAMILIES) >= 40
    for language in HONEST:
        assert sum(family.kind.startswith(language) for family in FAMILIES) >= 20


def test_a_changed_verdict_is_seen() -> None:
    """The comparison is able to fail."""
    from qharness.api.languages import Outcome, Status
    from tests.hostile.neighbours import changed, honest

    placed = [honest(language, number) for language in HONEST for number in range(12)]
    right = [Outcome(each.expected, f"E: number {each.name.split()[-1]}") for each in placed]
    assert changed(placed, right, "") == []
    for status in Status:
        wrong = [Outcome(status, f"E: number {each.name.split()[-1]}") for each in placed]
        assert len(changed(placed, wrong, "")) == sum(each.expected is not status for each in placed)
    assert len(changed(placed, [Outcome(each.expected, "E") for each in placed], "")) == 4
