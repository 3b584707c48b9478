"""Languages besides Python and Java: what passes, what does not, and what hostile programs do to their neighbours."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from qharness import Limits, Program, Status
from qharness.api.languages import Outcome
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.execution import choose_isolation
from qharness.execution import run_programs as run_in_pool
from qharness.filters import extract_code, first_function, run_programs
from qharness.registry import get_registry
from tests.conftest import REPOSITORY
from tests.hostile.others import OTHERS, among_honest, missing, module
from tests.test_hostile import USERS, WAYS

SAMPLE = 6
"""How many hostile programs the quick test takes."""
ENDS = ["", "\n\nThis { doesn't } end it.\n```\n"]


@pytest.fixture(params=OTHERS)
def language(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if reason := missing(name):
        pytest.skip(reason)
    return name


@pytest.fixture
def targets(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What programs go for: a file of the host's and a port that somebody listens on."""
    secret = tmp_path / "secret"
    secret.write_text("1234567")
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield {"home_file": str(secret), "port": str(server.getsockname()[1])}
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def run(language: str, source: str, tests: str) -> Outcome:
    text = module(language).HEAD + source
    return run_in_pool([Program(language, text, tests)], get_registry().language, choose_isolation(), workers=1)[0]


def test_honest_programs_end_as_they_must(language: str) -> None:
    for status, (source, tests) in module(language).HONEST.items():
        outcome = run(language, source.format(17), tests.format(17))
        assert outcome.status == status, outcome


def test_hostile_programs_do_not_pass_and_change_no_verdict(language: str, targets: dict[str, str]) -> None:
    quick = module(language).QUICK
    chosen = random.Random(len(quick)).sample(list(quick), SAMPLE)
    outcomes, wrong = among_honest(language, {name: quick[name] for name in chosen}, 1, targets)
    assert wrong == []
    assert {name: outcome for name, outcome in outcomes.items() if outcome.passed} == {}


@pytest.mark.slow
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("workers", [1, 4])
def test_all_hostile_programs(language: str, user: str, workers: int, targets: dict[str, str], tmp_path: Path) -> None:
    with ExitStack() as stack:
        found = stack.enter_context(WAYS[user](tmp_path))  # type: ignore[arg-type, var-annotated]
        if found.package != REPOSITORY:  # a copy of the package says no version
            information = found.package / "qharness-1.0.dist-info"
            information.mkdir()
            (information / "METADATA").write_text("Metadata-Version: 2.1\nName: qharness\nVersion: 1.0\n")
        environment = {"PATH": os.environ["PATH"], "HOME": str(found.home), "PYTHONPATH": str(found.package)}
        command = [found.python, "-m", "tests.hostile.others", language, "5", str(workers), json.dumps(targets)]
        done = subprocess.run(command, capture_output=True, text=True, cwd="/", env=environment, **found.options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["wrong"] == []
    assert document["passed"] == []
    assert document["hostile"] >= 25


@pytest.mark.slow
def test_what_remains_forgeable_is_marked(language: str) -> None:
    """These do pass: the day that one no longer does, it goes among the others."""
    for name, source in module(language).FORGEABLE.items():
        outcome = run(language, source, module(language).TESTS)
        assert outcome.passed and outcome.in_process, (name, outcome)


def test_a_missing_tool_is_told_with_its_command(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, *more, **options: None)
    assert "install" in missing(language)


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 12])
def test_canonical_solutions_pass_cut_or_not_and_empty_bodies_do_not(step: int, language: str, data_dir: Path) -> None:
    (task,) = load_task(f"mceval-{language}", data_dir).tasks.values()
    docs = list(task.eval_docs)[::step]
    stops = task.get_config("generation_kwargs")["until"]
    empty = module(language).EMPTY
    texts = [[doc["canonical_solution"] + end for end in ENDS] for doc in docs]
    assert [doc["task_id"] for doc in docs for stop in stops if stop in doc["canonical_solution"]] == []
    cut = [
        [*some, doc["canonical_solution"], empty(doc["prompt"])]
        for some, doc in zip(first_function(texts, docs), docs, strict=True)
    ]
    verdicts = run_programs(cut, docs)
    failed = [
        (doc["task_id"], number, verdict["status"], verdict["detail"])
        for doc, some in zip(docs, verdicts, strict=True)
        for number, verdict in enumerate(some)
        if verdict["passed"] != (number < len(some) - 1)
    ]
    assert failed == []


ANSWERS = ("Here it is:\n\n```\n{whole}\n```\nIt works.", "{whole}", "```\n{body}\n```", "I {{cannot}}.")


@pytest.mark.parametrize("step", [pytest.param(3, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.long)])
def test_the_code_is_taken_out_of_answers(step: int, language: str, data_dir: Path) -> None:
    (task,) = load_task(f"mceval-{language}", data_dir).tasks.values()
    docs = list(task.eval_docs)[::step]
    texts = []
    for doc in docs:
        body = doc["canonical_solution"]
        texts.append([each.format(whole=f"{doc['prompt'].strip()}\n{body}", body=body) for each in ANSWERS])
    verdicts = run_programs(extract_code(texts, docs), docs)
    statuses = {
        doc["task_id"]: [verdict["passed"] for verdict in some] for doc, some in zip(docs, verdicts, strict=True)
    }
    assert {name: each for name, each in statuses.items() if each != [True, True, True, False]} == {}


def test_a_verdict_says_whether_the_program_could_forge_it(language: str) -> None:
    source, tests = module(language).HONEST["passed"]
    outcome = run(language, source.format(3), tests.format(3))
    assert outcome.status is Status.PASSED
    assert outcome.in_process == module(language).IN_PROCESS


def test_a_compiler_that_serves_many_counts_no_earlier_programs_time() -> None:
    """Together these take more than the limit of each."""
    if reason := missing("cpp"):
        pytest.skip(reason)
    source, tests = module("cpp").HONEST["passed"]
    texts = [module("cpp").HEAD + source.format(number) for number in range(12)]
    programs = [Program("cpp", text, tests.format(number)) for number, text in enumerate(texts)]
    limits = Limits(cpu_seconds=1, wall_seconds=20.0)
    outcomes = run_in_pool(programs, get_registry().language, choose_isolation(), limits=limits, workers=1)
    assert [str(outcome.status) for outcome in outcomes] == ["passed"] * 12
