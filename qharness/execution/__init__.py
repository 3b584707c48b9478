"""Runs untrusted programs in a sandbox, with a pool of workers, and caches their verdicts."""

from qharness.execution.pool import execute_programs, run_programs
from qharness.execution.sandbox import Isolation, choose_isolation
from qharness.execution.workers import keeping_workers

__all__ = ["Isolation", "choose_isolation", "execute_programs", "keeping_workers", "run_programs"]
