"""Evaluates one model on one task through lm-eval, scores saved samples, and keeps the folders runs live in."""

from qharness.evaluate.interchange.scoring import score

__all__ = ["score"]
