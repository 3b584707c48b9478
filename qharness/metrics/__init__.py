"""Metrics of one problem: pass@k of its samples, smoothed BLEU-4 of a summary."""

from qharness.metrics.bleu import smoothed_bleu_4
from qharness.metrics.passing import pass_at_k

__all__ = ["pass_at_k", "smoothed_bleu_4"]
