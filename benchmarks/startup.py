"""How long light commands take, a run that is done, and one of one token: medians of whole processes, in seconds.

    .venv/bin/python benchmarks/startup.py

Beside --help and the list of tasks, lm-eval's own of the same kind. The run that is done is made once, in a folder of
its own; that of one token, whose time is that to the first completion, each time anew with another seed.
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
FIRST = ["qharness", "run", "--task", "tiny-python", "--limit", "1", "--samples", "1", "--max-new-tokens", "1"]
RUNS = 7


def seconds(command: list[str]) -> tuple[float, float]:
    """Of wall time, and of the processor."""
    start, before = time.perf_counter(), processor()
    subprocess.run([BIN / command[0], *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start, processor() - before


def processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def medians(command: list[str], seeded: bool = False) -> tuple[float, float]:
    """Medians over several processes, after one to warm up; each with a seed of its own, if `seeded`."""
    commands = [[*command, "--seed", str(n)] if seeded else command for n in range(RUNS + 1)]
    wall, cpu = list(zip(*map(seconds, commands), strict=True))
    wall, cpu = wall[1:], cpu[1:]
    return statistics.median(wall), statistics.median(cpu)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["QHARNESS_CACHE_DIR"] = f"{folder}/cache"
        command = [*RUN, "--output", f"{folder}/runs"]
        print("a run that is done: {:.2f} s, {:.2f} of the processor".format(*medians(command)))
        command = [*FIRST, "--output", f"{folder}/runs"]
        print("a run of one token: {:.2f} s, {:.2f} of the processor".format(*medians(command, seeded=True)))
    if "--ours" in sys.argv:
        return
    for ours, theirs in PAIRS:
        mine, other = medians(ours)[0], medians(theirs)[0]
        print(f"{' '.join(ours)}: {mine:.2f} s; {' '.join(theirs)}: {other:.2f} s; ratio {mine / other:.2f}")


if __name__ == "__main__":
    main()
