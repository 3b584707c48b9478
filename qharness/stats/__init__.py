"""Paired statistics of two runs."""

from qharness.stats.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
