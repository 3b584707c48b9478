"""Runs made by hand for a page: with completions that no model would write, and with profiles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from qharness import RunSpec
from qharness.results import CostProfile, EstimatedEnergy, Latency
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
    seed: int = 0,
    tests: str | None = None,
) -> Path:
    """A finished run: completions [problem][sample]."""
    spec = RunSpec(
        task=task,
        model=model,
        quant=quant,
        calib=calib,
        samples=len(completions[0]),
        seed=seed,
        device="cpu",
        dtype="float32",
    )
    return report_runs.write_run(
        top,
        spec,
        [[passed for _, passed in each] for each in completions],
        storage=storage,
        completions=[[text for text, _ in each] for each in completions],
        by_problem=[
            {
                "prompt": f"{prompt}  # {doc}",
                **({"level": levels[doc]} if levels else {}),
                **({"tests": tests} if tests else {}),
            }
            for doc in range(len(completions))
        ],
    )


def cost_profile(model: str, quant: str, seconds: float, grams: float) -> CostProfile:
    """A profile of 128 tokens of prompt and 20 generated ones."""
    return CostProfile(
        model, quant, None, "cpu", "float32", 128, 20, Latency(seconds, None, None), 20 / seconds, [], 1, None, None, None,
        1.0, grams, EstimatedEnergy("estimated", None, None, 1.0, None, None), "p3dn.24xlarge",
    )  # fmt: skip


def write_profile(top: Path, quant: str, seconds: float, grams: float) -> Path:
    """A document of `qharness profile`."""
    path = top / f"profile-{quant.replace(':', '_')}.json"
    path.write_text(json.dumps(cost_profile("org/coder", quant, seconds, grams).document))
    return path
