"""Paired statistics of two runs."""

from qharness.results import Comparison
from qharness.stats.comparison import comparable, compare, compare_runs

__all__ = ["Comparison", "comparable", "compare", "compare_runs"]
