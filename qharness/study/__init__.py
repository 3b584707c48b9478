"""Grids of runs. The smallest is one run and the baseline it is compared with."""

from qharness.study.running import run, run_tasks

__all__ = ["run", "run_tasks"]
