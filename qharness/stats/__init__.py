"""Paired statistics of two runs."""

from qharness.stats.comparison import Comparison, compare
from qharness.stats.texts import read_texts

__all__ = ["Comparison", "compare", "read_texts"]
