"""Runs made by hand for a page: with completions that no model would write, and with profiles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from qharness import RunSpec
from tests import report_runs

Completion = tuple[str, bool]
"""What was written, and whether it passed."""


def write_run(
    top: Path,
    task: str,
    quant: str,
    completions: Sequence[Sequence[Completion]],
    *,
    model: str = "org/coder",
    calib: str | None = None,
    storage: int | None = 4_000_000,
    prompt: str = "def f(x):",
    levels: Mapping[int, str] | None = None,
) -> Path:
    """A finished run: completions [problem][sample]."""
    spec = RunSpec(
        task=task, model=model, quant=quant, calib=calib, samples=len(completions[0]), device="cpu", dtype="float32"
    )
    return report_runs.write_run(
        top,
        spec,
        [[passed for _, passed in each] for each in completions],
        storage=storage,
        completions=[[text for text, _ in each] for each in completions],
        by_problem=[
            {"prompt": f"{prompt}  # {doc}", **({"level": levels[doc]} if levels else {})}
            for doc in range(len(completions))
        ],
    )


def write_profile(top: Path, quant: str, seconds: float, grams: float, *, model: str = "org/coder") -> Path:
    """A document of `qharness profile`."""
    document = {
        "model": model, "quantizer": quant, "calibration": None, "device": "cpu", "dtype": "float32",
        "latency_s": {"median": seconds, "q1": seconds, "q3": seconds}, "usd_per_1k": 1.0, "gco2eq_per_1k": grams,
        "prompt_tokens": 128, "new_tokens": 20, "storage_bytes": 1, "resident_bytes": 1, "instance": "x",
    }  # fmt: skip
    path = top / f"profile-{quant.replace(':', '_')}.json"
    path.write_text(json.dumps(document))
    return path
