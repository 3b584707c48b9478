"""How long light commands take, and a run that is done: medians of whole processes, in seconds.

    .venv/bin/python benchmarks/startup.py

Beside --help and the list of tasks, lm-eval's own of the same kind. The run is made once, in a folder of its own.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent
PAIRS = [
    (["qharness", "--help"], ["lm-eval", "--help"]),
    (["qharness", "list", "--json"], ["lm-eval", "ls", "tasks"]),
]
RUN = ["qharness", "run", "--quant", "rtn:3", "--task", "tiny-python", "--limit", "4", "--samples", "2"]
RUNS = 7


def seconds(command: list[str]) -> tuple[float, float]:
    """Of wall time, and of the processor."""
    start, before = time.perf_counter(), processor()
    subprocess.run([BIN / command[0], *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start, processor() - before


def processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def medians(command: list[str]) -> tuple[float, float]:
    seconds(command)
    wall, cpu = zip(*(seconds(command) for _ in range(RUNS)), strict=True)
    return statistics.median(wall), statistics.median(cpu)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["QHARNESS_CACHE_DIR"] = f"{folder}/cache"
        command = [*RUN, "--output", f"{folder}/runs"]
        print("a run that is done: {:.2f} s, {:.2f} of the processor".format(*medians(command)))
    if "--ours" in sys.argv:
        return
    for ours, theirs in PAIRS:
        mine, other = medians(ours)[0], medians(theirs)[0]
        print(f"{' '.join(ours)}: {mine:.2f} s; {' '.join(theirs)}: {other:.2f} s; ratio {mine / other:.2f}")


if __name__ == "__main__":
    main()
