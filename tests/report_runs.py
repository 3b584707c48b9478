"""Finished runs as a test needs them: folders with a run.json and a samples.jsonl, written by hand."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qharness import RunSpec, compare
from qharness.storage.json_values import json_safe

FULL_STORAGE = 13_480_000_000
VERDICTS = {True: ("passed", ""), False: ("failed", "AssertionError: 1 != 2")}


def write_run(
    runs: Path,
    spec: RunSpec,
    passed: Sequence[Sequence[bool]],
    *,
    language: str = "python",
    metrics: Mapping[str, float | None] | None = None,
    storage: int | None = FULL_STORAGE,
    parameters: int | None = 6_738_000_000,
    baseline: Path | None = None,
    fields: Mapping[str, Any] | None = None,
    completions: Sequence[Sequence[str]] | None = None,
    by_problem: Sequence[Mapping[str, Any]] | None = None,
) -> Path:
    """A run of programs with these passes, a row a problem; with the comparison that `run` would put into it.

    `fields` are put into every line of its samples, `by_problem` into those of each problem.
    """
    settings = (spec.seed, spec.temperature, spec.samples, spec.dtype)
    name = "--".join((spec.model, spec.quant, spec.calib or "none", spec.task, *map(str, settings)))
    folder = runs / name.replace("/", "_")
    folder.mkdir(parents=True)
    rows = [
        {
            "task": spec.task,
            "doc_id": problem,
            "task_id": f"{spec.task}/{problem}",
            "seed": spec.seed,
            "prompt": f"def f{problem}():\n",
            "sample": sample,
            "completion": completions[problem][sample] if completions else f"    return {each}\n",
            "status": VERDICTS[bool(each)][0],
            "passed": bool(each),
            "detail": VERDICTS[bool(each)][1],
            "seconds": 0.01,
            **(fields or {}),
            **(by_problem[problem] if by_problem else {}),
        }
        for problem, samples in enumerate(passed)
        for sample, each in enumerate(samples)
    ]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    whole = {"pass@1": float(np.mean([np.mean(each) for each in passed]))} if metrics is None else metrics
    document: dict[str, Any] = {
        "spec": {**dataclasses.asdict(spec), "output": str(runs)},
        "metrics": {spec.task: dict(whole)},
        "versions": {"toolchains": {language: "1"} if language else {}},
        "hosting": {"storage_bytes": storage, "parameters": parameters, "resident_bytes": 1},
        "timings": {"total_s": 2.0, "generation_s": 1.0},
        "notes": [],
    }
    (folder / "run.json").write_text(json.dumps(json_safe(document), default=str))
    if baseline is not None:
        document["baseline"] = compare(baseline, folder).document
        (folder / "run.json").write_text(json.dumps(json_safe(document), default=str))
    return folder


def discordant(passes: NDArray[np.bool_], b: int, c: int) -> NDArray[np.bool_]:
    """`passes` bool [problems, samples] with `b` of those that passed failed, and `c` of the others passed.

    Both are spread over the problems, as evenly as it goes.
    """
    flat = passes.ravel().copy()
    for value, count in ((True, b), (False, c)):
        where = np.flatnonzero(passes.ravel() == value)
        flat[where[np.linspace(0, len(where) - 1, count).astype(int)]] = not value
    return flat.reshape(passes.shape)


def with_passes(count: int, problems: int, samples: int) -> NDArray[np.bool_]:
    """`count` passes, spread over the problems, bool [problems, samples]."""
    return discordant(np.zeros((problems, samples), dtype=bool), 0, count)
