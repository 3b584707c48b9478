"""Paired statistics of two runs."""

from qharness.stats.comparison import Comparison, comparable, compare, compare_runs

__all__ = ["Comparison", "comparable", "compare", "compare_runs"]
