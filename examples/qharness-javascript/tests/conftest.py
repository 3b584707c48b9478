"""Runs programs in the sandbox, as `qharness run` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from qharness import Limits, Outcome, execute_programs

Run = Callable[[Mapping[str, tuple[str, str]]], dict[str, Outcome]]
LIMITS = Limits(cpu_seconds=2, wall_seconds=3.0, memory_bytes=128 << 20, output_bytes=100_000, processes=64)


@pytest.fixture(scope="session")
def run() -> Run:
    """(source, tests) by name -> outcomes by name; within limits that are soon reached."""

    def run_all(programs: Mapping[str, tuple[str, str]]) -> dict[str, Outcome]:
        sources, tests = zip(*programs.values(), strict=True)
        outcomes = execute_programs("node", sources, tests=tests, limits=LIMITS)
        return dict(zip(programs, outcomes, strict=True))

    return run_all
