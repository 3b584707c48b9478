"""How long the light commands take, beside lm-eval's own of the same kind: medians of whole processes, in seconds.

.venv/bin/python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
PAIRS = [
    (["qharness", "--help"], ["lm-eval", "--help"]),
    (["qharness", "list", "--json"], ["lm-eval", "ls", "tasks"]),
]
RUNS = 7


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([BIN / command[0], *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    for ours, theirs in PAIRS:
        seconds(ours), seconds(theirs)
        pairs = [(seconds(ours), seconds(theirs)) for _ in range(RUNS)]
        mine, other = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{' '.join(ours)}: {mine:.2f} s; {' '.join(theirs)}: {other:.2f} s; ratio {mine / other:.2f}")


if __name__ == "__main__":
    main()
