"""Paired statistics of two runs."""

from qharness.stats.comparison import Comparison, comparable, compare

__all__ = ["Comparison", "comparable", "compare"]
