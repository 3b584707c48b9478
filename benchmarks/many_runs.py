"""How long `runs` takes where a folder holds very many runs: processor seconds of the command, and of its wall time.

    .venv/bin/python benchmarks/many_runs.py --runs 100 1000 10000

One run of the bundled model is made, and its folder copied under other ids; of its completions the first is copied.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

QHARNESS = Path(sys.executable).with_name("qharness")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 1000, 10_000])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        made = one_run(Path(scratch))
        print("runs\tcommand\tseconds\tof the processor")
        for count in arguments.runs:
            folder = copies(made, Path(scratch, str(count)), count)
            for words in (["runs", folder], ["runs", folder, "--newest", count]):
                wall, cpu = seconds([str(word) for word in words])
                print(f"{count}\t{'all' if len(words) > 2 else 'newest'}\t{wall:.1f}\t{cpu:.1f}", flush=True)


def one_run(scratch: Path) -> Path:
    """A finished run of the bundled model."""
    command = [QHARNESS, "run", "--task", "tiny-python", "--limit", "1", "--samples", "1", "--max-new-tokens", "8"]
    subprocess.run([*command, "--output", scratch / "one"], check=True, capture_output=True)
    (folder,) = (scratch / "one").iterdir()
    return folder


def copies(made: Path, top: Path, count: int) -> Path:
    """A folder with that many runs, each with a seed and an id of its own."""
    document, stem = json.loads((made / "run.json").read_text()), made.name.rpartition("--")[0]
    samples = (made / "samples.jsonl").read_bytes()
    for number in range(count):
        folder = top / f"{stem}--{number * 2_654_435_761 % 16**12:012x}"
        folder.mkdir(parents=True)
        document["spec"]["seed"] = number
        (folder / "run.json").write_text(json.dumps(document))
        (folder / "samples.jsonl").write_bytes(samples)
        os.utime(folder / "samples.jsonl", (number, number))
    return top


def seconds(words: list[str]) -> tuple[float, float]:
    """Of wall time, and of the processor."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([QHARNESS, *words], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
