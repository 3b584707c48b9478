"""Calibration sets drawn from public corpora: RedPajama, as Giagnorio et al. 2025 sample it, and CodeSearchNet."""

from __future__ import annotations

from qharness import CalibrationSet, hookimpl
from qharness.plugins.corpora.codesearchnet import CodeSearchNet
from qharness.plugins.corpora.redpajama import Code, Mixed, Random


@hookimpl
def qharness_calibration_sets() -> list[type[CalibrationSet]]:
    """Offer `random`, `mixed`, `code` and `codesearchnet`."""
    return [Random, Mixed, Code, CodeSearchNet]
