"""Paired statistics of two runs."""

from qharness.stats.compare import Comparison, compare

__all__ = ["Comparison", "compare"]
