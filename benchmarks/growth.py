"""How a run's time grows with samples, with problems and with the model's size, and the exponents.

    python benchmarks/growth.py samples problems
    python benchmarks/growth.py parameters --models build/real/smollm2-135m-instruct build/real/gemma-3-270m ...

A figure is the median of `--rounds`, each a process of its own, without cached verdicts. An exponent is the slope of
the logarithms by least squares: 1 is in proportion.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

QHARNESS = str(Path(sys.executable).with_name("qharness"))
RUN = ["run", "--task", "tiny-python", "--json"]
SAMPLES, PROBLEMS = (1, 3, 10, 30, 100), (3, 10, 30, 100)


def document(words: Sequence[str]) -> dict[str, Any]:
    """What a command prints with --json."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "QHARNESS_CACHE_DIR": cache}
        done = subprocess.run([QHARNESS, *words], capture_output=True, check=True, env=environment)
    return json.loads(done.stdout)


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    return statistics.linear_regression([math.log(x) for x in sizes], [math.log(y) for y in costs]).slope


def run_timings(words: Sequence[str], rounds: int) -> dict[str, float]:
    """The medians of a run's own timings, in seconds."""
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            found.append(document([*RUN, *words, "--output", folder])["timings"])
    return {name: statistics.median(each[name] for each in found) for name in ("generation_s", "total_s")}


def grow(name: str, sizes: Sequence[int], words: Sequence[str], rounds: int) -> None:
    """Print a series: a run's seconds where the option `--name` has each size."""
    rows = {size: run_timings([f"--{name}", str(size), *words], rounds) for size in sizes}
    for size, row in rows.items():
        print(f"{name} {size}: " + ", ".join(f"{what} {seconds:.2f}" for what, seconds in row.items()), flush=True)
    for what in next(iter(rows.values())):
        print(f"{name}: {what} grows with exponent {exponent(sizes, [row[what] for row in rows.values()]):.2f}")


def grow_parameters(models: Sequence[str], rounds: int) -> None:
    """Print a prediction's seconds at batch 1 for each model, in float32 and int8: 128 tokens read, 20 written."""
    sizes: list[float] = []
    full: list[float] = []
    int8: list[float] = []
    for model in models:
        words = ["profile", "--model", model, "--quant", "int8-dynamic", "--batch-size", "1", "--repeats", str(rounds)]
        profile = document([*words, "--json"])
        before = profile["baseline"]
        sizes.append(before["weight_bytes"] / 4)
        full.append(before["latency_s"]["median"])
        int8.append(profile["latency_s"]["median"])
        print(f"{model}: {sizes[-1] / 1e6:.0f} million parameters, {full[-1]:.2f} s, int8 {int8[-1]:.2f} s", flush=True)
    for name, seconds in (("float32", full), ("int8-dynamic", int8)):
        print(f"parameters: latency in {name} grows with exponent {exponent(sizes, seconds):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="+", choices=["samples", "problems", "parameters"])
    parser.add_argument("--models", nargs="+", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if "samples" in arguments.what:
        grow("samples", SAMPLES, ["--limit", "30"], arguments.rounds)
    if "problems" in arguments.what:
        grow("limit", PROBLEMS, ["--samples", "20"], arguments.rounds)
    if "parameters" in arguments.what:
        grow_parameters(arguments.models, arguments.rounds)


if __name__ == "__main__":
    main()
