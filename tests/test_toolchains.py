"""Languages' tools are prepared while a command imports what it needs."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from qharness import MissingDependencyError
from qharness.execution import toolchains
from qharness.execution.toolchains import begin_toolchains, find_toolchain
from qharness.plugins.languages import java
from qharness.registry import get_registry


@pytest.fixture
def compiled_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads in which Java's harness is compiled, into an empty cache."""
    compile_harness, threads = java._compile, list[str]()

    def noted(home: Path, folder: Path) -> None:
        threads.append(threading.current_thread().name)
        compile_harness(home, folder)

    monkeypatch.setenv("QHARNESS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(java, "_compile", noted)
    monkeypatch.setattr(toolchains, "_begun", {})
    java._compiled_harness.cache_clear()
    return threads


@pytest.mark.parametrize(
    ("tasks", "threads"),
    [
        (["tiny-java", "tiny-java@comments:drop", "mceval-java"], ["java toolchain"]),
        (["tiny-python", "arc_easy", "no such task"], ["MainThread"]),
    ],
)
def test_a_harness_is_compiled_once_and_waited_for(
    tasks: list[str], threads: list[str], compiled_by: list[str]
) -> None:
    begin_toolchains(tasks)
    assert find_toolchain(get_registry().language("java")).compiler
    assert compiled_by == threads


def test_what_is_missing_is_told_by_who_needs_it(compiled_by: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    begin_toolchains(["tiny-java"])
    with pytest.raises(MissingDependencyError, match="a JDK"):
        find_toolchain(get_registry().language("java"))
    assert compiled_by == []
