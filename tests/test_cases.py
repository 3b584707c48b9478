"""Programs judged by cases: inputs and expected outputs in stages, which the program's process never sees."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from qharness import Cases, DataError, Limits, Outcome, Program, QHarnessError
from qharness.execution import choose_isolation, run_programs
from qharness.execution.verdicts import VerdictCache
from qharness.filters import stage_pass_at_k
from qharness.plugins.languages.python_cases import _Agreement
from qharness.registry import get_registry
from tests.hostile.forged_cases import ANSWERS, FORGED

TWICE = Cases("f", "[[1], [[2]], ['a'], [0], [True]]", "[2, [2, 2], 'aa', 0, 2]", (("base", 0), ("plus", 3)))
RIGHT = "def f(x): return x * 2"


def judged(
    *programs: Program | str, cases: Cases = TWICE, workers: int = 1, limits: Limits | None = None
) -> list[Outcome]:
    asked = [Program("python", each, cases=cases) if isinstance(each, str) else each for each in programs]
    return run_programs(asked, get_registry().language, choose_isolation(), workers=workers, limits=limits)


def test_stages_one_after_the_other() -> None:
    of_base = "def f(x): return x * 2 if x else None"
    never = "def f(x): return x"
    stages = [
        (str(outcome.status), outcome.stages) for outcome in judged(RIGHT, of_base, never, "f = None", "x = 1", "(")
    ]
    assert stages == [
        ("passed", ("base", "plus")),
        ("failed", ("base",)),
        ("failed", ()),
        ("error", ()),
        ("error", ()),
        ("compile-error", ()),
    ]


def test_the_detail_tells_the_input() -> None:
    failed, raised, missing = judged("def f(x): return x", "def f(x): return x / 2", "x = 1")
    assert failed.detail == "base input 0: 1 is not 2"
    assert raised.detail.startswith("base input 0: 0.5 is not 2")
    assert missing.detail == "NameError: name 'f' is not defined"


def test_a_stage_that_passed_is_told_however_the_next_one_ends() -> None:
    ends = ("1 / 0", "__import__('sys').exit(0)", "__import__('os')._exit(0)", "[0] * 10**10")
    outcomes = judged(*(f"def f(x):\n  if x == 0: return {end}\n  return x * 2" for end in ends))
    assert [str(outcome.status) for outcome in outcomes] == ["error", "early-exit", "early-exit", "out-of-memory"]
    assert {outcome.stages for outcome in outcomes} == {("base",)}


def test_time_of_one_call_and_of_all() -> None:
    hurried = dataclasses.replace(TWICE, call_seconds=0.2)
    loops = "def f(x):\n  while x == 0: pass\n  return x * 2"
    stubborn = (
        "def f(x):\n  while x == 0:\n    try:\n      while True: pass\n    except BaseException: pass\n  return x * 2"
    )
    (one,) = judged(loops, cases=hurried)
    (all_,) = judged(stubborn, cases=hurried, limits=Limits(cpu_seconds=2))
    assert (one.status, one.stages, one.seconds < 3) == ("timeout", ("base",), True), one
    assert (all_.status, all_.stages) == ("timeout", ("base",)), all_


@pytest.fixture(scope="module")
def forged() -> dict[str, Outcome]:
    programs = [Program("python", source, cases=ANSWERS) for source in FORGED.values()]
    return dict(zip(FORGED, judged(*programs, workers=2, limits=Limits(cpu_seconds=5)), strict=True))


@pytest.mark.parametrize("name", FORGED)
def test_no_forgery_passes_a_stage(name: str, forged: dict[str, Outcome]) -> None:
    assert not forged[name].passed and forged[name].stages == (), forged[name]
    assert not forged[name].in_process


def test_a_right_program_passes_those_cases() -> None:
    (outcome,) = judged("def f(a, b): return a * 31 + b * 17", cases=ANSWERS)
    assert outcome.passed


def test_cases_are_given_again_to_a_new_checker() -> None:
    """A program that leaves a file makes the worker replace its processes."""
    leaves = "open('/tmp/left', 'w').close()\n" + RIGHT
    other = dataclasses.replace(TWICE, outputs="[3, 3, 3, 3, 3]")
    programs = [Program("python", source, cases=TWICE) for source in (RIGHT, leaves, f"{RIGHT}\n")]
    programs += [Program("python", "def f(x): return 3", cases=other), Program("python", f"\n{RIGHT}", cases=TWICE)]
    assert [outcome.passed for outcome in judged(*programs)] == [True] * 5


def test_a_reference_computes_what_is_expected() -> None:
    cases = dataclasses.replace(TWICE, outputs="", reference="def ref_func(x):\n  return x * 2\n")
    right, base_only = judged(RIGHT, "def f(x): return x * 2 if x else 1", cases=cases)
    assert right.passed and base_only.stages == ("base",)


def test_another_relation_than_equality() -> None:
    same = "def same(arguments, output, expected):\n    return set(output) == set(expected)\n"
    cases = Cases("f", "[[[3, 1]]]", "[[1, 3]]", (("base", 0),), same=same)
    programs = (
        "def f(x): return x",
        "def f(x): return iter(x)",
        "def f(x): return x[:1]",
        "def f(x): return len",
        "def f(x): return 1",
    )
    assert [outcome.passed for outcome in judged(*programs, cases=cases)] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("expected", "output", "tolerance", "holds"),
    [
        (1.0, 1.0 + 5e-7, 0, True),
        (1.0, 1.0 + 5e-6, 0, False),
        (1.0, 1, 0, True),  # equal
        (1.5, True, 1.0, False),  # of another type
        ([1.0, 2.0], [1.0, 2.0 + 1e-7], 0, True),
        ([1.0, 2.0], (1.0, 2.0 + 1e-7), 0, False),
        ([1.0, 2.0], [1.0], 0, False),
        ([1, 2.0], [1, 2.0 + 1e-7], 0, False),  # not all are floats
        ([], [], 0, True),
        (float("inf"), 1e308, 0, False),
        (1e12, 1e12 + 1e4, 0, True),  # relative
        ((1 + 1j, 2), (1 + 1.00001j, 2), 1e-4, True),
        (["a", 1.0], ["a", 1.00001], 1e-4, False),  # numpy has no distance of texts
        (2, 2.0, 0, True),
        ("2", 2, 0, False),
        (float("nan"), float("nan"), 0, False),
    ],
)  # fmt: skip
def test_agreement_is_evalpluss(expected: object, output: object, tolerance: float, holds: bool) -> None:
    assert _Agreement(tolerance, None).holds([], output, expected) is holds


def test_the_tolerance_of_floats_stays_for_the_stage() -> None:
    agreement = _Agreement(0, None)
    assert not agreement.holds([], 10**9 + 1, 10**9)
    assert agreement.holds([], 1.0, 1.0)
    assert agreement.holds([], 10**9 + 1, 10**9)


@pytest.mark.parametrize(
    "fault",
    [{"inputs": "[["}, {"outputs": "[1]"}, {"outputs": "", "reference": ""}, {"same": "def same("}],
    ids=["inputs", "outputs", "reference", "same"],
)
def test_faulty_cases_are_no_programs_fault(fault: dict[str, str]) -> None:
    with pytest.raises(DataError, match="the cases of a program cannot be used"):
        judged(RIGHT, cases=dataclasses.replace(TWICE, **fault))


def test_a_language_that_reads_no_cases() -> None:
    with pytest.raises(QHarnessError, match="programs in c cannot be judged by cases"):
        judged(Program("c", "int f(void) { return 1; }", cases=TWICE))


def test_a_cached_verdict_has_its_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path))
    cache, languages = VerdictCache(), get_registry().language
    programs = [Program("python", text, cases=TWICE) for text in (RIGHT, "def f(x): return x * 2 if x else 1")]
    first = run_programs(programs, languages, choose_isolation(), workers=1, verdicts=cache)
    second = run_programs(programs, languages, choose_isolation(), workers=1, verdicts=cache)
    assert [outcome.cached for outcome in second] == [True, True]
    assert (
        [outcome.stages for outcome in second] == [outcome.stages for outcome in first] == [("base", "plus"), ("base",)]
    )


def test_other_cases_are_another_program() -> None:
    other = dataclasses.replace(TWICE, tolerance=1.0)
    assert TWICE.digest != other.digest and Program("python", "", cases=TWICE) != Program("python", "", cases=other)
    assert dataclasses.replace(TWICE) == TWICE and hash(TWICE) == hash(dataclasses.replace(TWICE))


def test_pass_at_k_of_a_stage() -> None:
    stages: list[list[str]] = [["base", "plus"], ["base"], [], []]
    verdicts = [{"passed": len(each) == 2, "stages": each} for each in stages]
    assert stage_pass_at_k([], [verdicts], "base", [1, 2]) == {"base_pass@1": 0.5, "base_pass@2": pytest.approx(5 / 6)}  # type: ignore[list-item]
