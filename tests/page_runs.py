"""Runs as they lie on disk, made by hand: a page is to be seen with completions that no model would write."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qharness.evaluate.folder import RUN, SAMPLES, write_json, write_lines
from qharness.types import RunSpec

Completion = tuple[str, str]
"""What was written and its status."""


def write_run(
    top: Path,
    task: str,
    quant: str,
    completions: Sequence[Sequence[Completion]],
    *,
    model: str = "org/coder",
    calib: str | None = None,
    storage: int | None = 4_000_000,
    language: str = "python",
    prompt: str = "def f(x):",
    levels: Mapping[int, str] | None = None,
) -> Path:
    """A finished run: completions [problem][sample]."""
    folder = top / "--".join(part.replace("/", "_").replace(":", "_") for part in (model, quant, calib or "none", task))
    folder.mkdir(parents=True)
    spec = RunSpec(
        task=task, model=model, quant=quant, calib=calib, samples=len(completions[0]), device="cpu", dtype="float32"
    )
    passed = [[status == "passed" for _, status in each] for each in completions]
    document: dict[str, Any] = {
        "spec": {**dataclasses.asdict(spec), "output": str(top)},
        "metrics": {task: {"pass@1": sum(sum(each) / len(each) for each in passed) / len(passed)}},
        "versions": {"toolchains": {language: "1"}},
        "hosting": {"storage_bytes": storage, "parameters": 1_000_000},
        "timings": {"total_s": 2.0, "generation_s": 1.0},
        "generation": {task: {}},
    }
    rows = [
        {
            "task": task, "doc_id": doc, "task_id": f"{task}/{doc}", "seed": 0, "prompt_sha": "0", "prompt": f"{prompt}  # {doc}",
            **({"level": levels[doc]} if levels else {}), "sample": sample, "completion": text, "status": status,
            "passed": status == "passed", "detail": "" if status == "passed" else f"why {doc} {status}", "seconds": 0.1,
        }
        for doc, each in enumerate(completions) for sample, (text, status) in enumerate(each)
    ]  # fmt: skip
    write_lines(folder / SAMPLES, rows)
    write_json(folder / RUN, document)
    return folder


def write_profile(top: Path, quant: str, seconds: float, grams: float, *, model: str = "org/coder") -> Path:
    """A document of `qharness profile`."""
    top.mkdir(parents=True, exist_ok=True)
    document = {
        "model": model, "quantizer": quant, "calibration": None, "device": "cpu", "dtype": "float32",
        "latency_s": {"median": seconds, "q1": seconds, "q3": seconds}, "usd_per_1k": 1.0, "gco2eq_per_1k": grams,
        "prompt_tokens": 128, "new_tokens": 20, "storage_bytes": 1, "resident_bytes": 1, "batches": [], "notes": [], "energy": {}, "instance": "x",
    }  # fmt: skip
    path = top / f"profile-{quant.replace(':', '_')}.json"
    path.write_text(json.dumps(document))
    return path
