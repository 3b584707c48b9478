"""C and C++ with GCC's sanitizers: what passes without them and must not with them, and how they are asked for."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import qharness
from qharness import (
    MissingDependencyError,
    Outcome,
    Program,
    QHarnessError,
    RunSpec,
    SamplesError,
    SpecError,
    Status,
    UnknownNameError,
    compare,
    score,
)
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.execution import choose_isolation, run_programs
from qharness.plugins.languages.c import C
from qharness.plugins.languages.cpp import Cpp
from qharness.registry import get_registry
from tests.hostile.others import LIMITS, missing, module
from tests.test_cli import Cli, in_process

__all__ = ["in_process"]
LANGUAGES = {"c": C, "cpp": Cpp}
HEAD = "#include <assert.h>\n#include <limits.h>\n#include <stdlib.h>\n"
TESTS = "int main() { assert(f(1) == 1); return 0; }"
UNDEFINED = {
    "Signed integer overflow": "int f(int x) { int y = INT_MAX; y += x; return x; }",
    "Shift exponent 40": "int f(int x) { volatile int y = x << (x + 39); return x; }",
    "out of bounds": "int f(int x) { int a[3] = {0}, i = 3; volatile int y = a[i]; return x; }",
}
ADDRESSES = {
    "heap-buffer-overflow": "int f(int x) { char *p = (char *)malloc(3); volatile char c = p[x + 2]; free(p); return x; }",
    "heap-use-after-free": "int f(int x) { int *p = (int *)malloc(8); free(p); volatile int v = *p; return x; }",
    "stack-buffer-overflow": "int f(int x) { int a[3] = {0}; int *p = a; volatile int y = p[x + 2]; return x; }",
}
FINE = "int f(int x) { malloc(10); return x; }"


@pytest.fixture(params=["c", pytest.param("cpp", marks=pytest.mark.slow)])
def language(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if reason := missing(name):
        pytest.skip(reason)
    return name


def outcomes(language: str, sanitize: str, sources: list[str]) -> list[Outcome]:
    made = LANGUAGES[language](sanitize=sanitize)
    programs = [Program(language, HEAD + source, TESTS) for source in sources]
    return run_programs(programs, lambda name: made, choose_isolation(), workers=1)


def test_what_is_undefined_passes_without_and_fails_with(language: str) -> None:
    found = {"undefined": UNDEFINED, "address": ADDRESSES, "both": UNDEFINED | ADDRESSES}
    honest = [FINE, "int f(int x) { return 2; }", "int f(int x) { exit(0); }"]
    for sanitize, programs in found.items():
        *ended, fine, wrong, left = outcomes(language, sanitize, [*programs.values(), *honest])
        for what, outcome in zip(programs, ended, strict=True):
            assert outcome.status is Status.ERROR and outcome.detail.startswith("sanitizer: "), (what, outcome)
            assert what in outcome.detail or what == "stack-buffer-overflow", outcome
        assert fine.passed and wrong.status is Status.FAILED and left.status is Status.EARLY_EXIT
    every = list((UNDEFINED | ADDRESSES).values())
    assert all(outcome.passed for outcome in outcomes(language, "none", every))


def test_a_compiler_without_its_libraries(language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program would be a compile-error: that is said before any runs."""
    compiler = {"c": "gcc", "cpp": "g++"}[language]
    script = tmp_path / compiler
    real = shutil.which(compiler)
    script.write_text(f'#!/bin/sh\ncase "$*" in *-fsanitize*) exit 1;; esac\nexec {real} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    made = LANGUAGES[language](sanitize="both")
    with pytest.raises(
        MissingDependencyError, match=r"-fsanitize=undefined,address of g.* libasan and libubsan is need"
    ):
        made.toolchain(made.limits)


@pytest.mark.slow
def test_hostile_programs_do_not_pass_with_it_either(language: str) -> None:
    """Among them some that turn the sanitizer off, or answer for it."""
    own = {
        "own options": 'const char *__asan_default_options() { return "halt_on_error=0"; }\nint f(int x) { return 0; }',
        "own report": "void __ubsan_on_report(void) { _exit(0); }\nint f(int x) { return 0; }",
    }
    sources = [module(language).HEAD + source for source in (module(language).QUICK | own).values()]
    made = LANGUAGES[language](sanitize="both")
    programs = [Program(language, source, module(language).TESTS) for source in sources]
    found = run_programs(programs, lambda name: made, choose_isolation(), limits=LIMITS[language], workers=1)
    assert [program.source for program, outcome in zip(programs, found, strict=True) if outcome.passed] == []


def test_it_is_off_by_default(language: str) -> None:
    plain, checked = (LANGUAGES[language](sanitize=each) for each in ("none", "both"))
    assert get_registry().language(language) == plain == get_registry().configured_language(language)
    assert get_registry().configured_language(f"{language}:both") == checked
    without, with_both = (each.toolchain(each.limits) for each in (plain, checked))
    assert "-fsanitize" not in repr(without) and without.limit_address_space
    assert with_both.version == f"{without.version} -fsanitize=undefined,address"


def test_a_task_is_scored_with_it(language: str, data_dir: Path, tmp_path: Path) -> None:
    """The reference solution of problem 38 reads one element behind an array."""
    (task,) = load_task(f"mceval-{language}", data_dir).tasks.values()
    docs = [doc for doc in task.eval_docs if doc["task_id"].endswith(("/38", "/5"))]
    path = tmp_path / "samples.jsonl"
    lines = [{"task_id": doc["task_id"], "completion": doc["canonical_solution"]} for doc in docs]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    plain = score(f"mceval-{language}", path, data_dir=data_dir)
    checked = score(f"mceval-{language}", path, data_dir=data_dir, language=f"{language}:sanitize=both")
    assert [row["passed"] for row in plain.samples] == [True, True]
    assert [row["passed"] for row in checked.samples] == [True, False]
    assert "Index 100000 out of bounds" in checked.samples[1]["detail"]


@pytest.mark.slow
def test_reference_solutions_that_a_sanitizer_stops(language: str, data_dir: Path, tmp_path: Path) -> None:
    (task,) = load_task(f"mceval-{language}", data_dir).tasks.values()
    path = tmp_path / "samples.jsonl"
    lines = [{"task_id": doc["task_id"], "completion": doc["canonical_solution"]} for doc in task.eval_docs]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for sanitize in ("undefined", "address", "both"):
        rows = score(f"mceval-{language}", path, data_dir=data_dir, language=f"{language}:{sanitize}").samples
        assert [row["task_id"].partition("/")[2] for row in rows if not row["passed"]] == ["38"], sanitize


def test_a_run_with_it_is_another_run(data_dir: Path, random_llama: Path, tmp_path: Path) -> None:
    if reason := missing("c"):
        pytest.skip(reason)

    def folder(language: str | None) -> tuple[Path, str | None, str]:
        spec = RunSpec(
            "mceval-c",
            model=str(random_llama),
            language=language,
            limit=1,
            samples=1,
            max_new_tokens=2,
            data_dir=data_dir,
            output=tmp_path,
        )
        result = qharness.run(spec)
        return result.folder, result.record.spec.language, result.record.versions.toolchains["c"]

    plain, checked = folder(None), folder("c:undefined")
    assert folder("c:sanitize=none") == plain and folder("c:sanitize=undefined") == checked
    assert plain[0] != checked[0] and plain[1] is None and checked[1] == "c:undefined"
    assert checked[2] == f"{plain[2]} -fsanitize=undefined"
    with pytest.raises(SamplesError, match=r"have verdicts by different --language options: none and c:undefined"):
        compare(plain[0], checked[0])
    spec = RunSpec("mceval-c", model=str(random_llama), baseline_run=checked[0], limit=1, data_dir=data_dir)
    with pytest.raises(SamplesError, match=r"was run with --language c:undefined, not None"):
        qharness.run(spec)


def test_a_language_that_the_task_has_not(data_dir: Path, in_process: Cli) -> None:
    task = load_task("tiny-python")
    with pytest.raises(QHarnessError, match=r"--language c: task 'tiny-python' has programs in python, and none in c"):
        task.with_language("c")
    with pytest.raises(UnknownNameError, match="unknown language 'd'"):
        task.with_language("d")
    with pytest.raises(SpecError, match="must be one of none, undefined, address, both"):
        task.with_language("c:sanitize=thread")
    for words in (["run", "--task", "mceval-c"], ["score", "--task", "mceval-c", "--samples", "no.jsonl"]):
        done = in_process(*words, "--language", "c:sanitise=both")
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "has no option 'sanitise'" in done.stderr
