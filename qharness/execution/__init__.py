"""Runs untrusted programs: isolation, one worker's supervision, and the pool over them."""

from qharness.execution.pool import execute_programs, run_programs
from qharness.execution.sandbox import Isolation, choose_isolation

__all__ = ["Isolation", "choose_isolation", "execute_programs", "run_programs"]
