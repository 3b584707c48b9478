"""How long a report takes and how large its page is: runs of made-up completions, nothing quantized or executed.

    python benchmarks/report.py --runs 10 --problems 164 --samples 20

Completions are stretches of the standard library's code, about 15 lines each; a sample is its problem's stretch with
probability 1 - `--distinct`, and else one of which a few lines are another's.
"""

from __future__ import annotations

import argparse
import inspect
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.page_runs import Completion, write_run


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (("--runs", 10), ("--problems", 164), ("--samples", 20), ("--seed", 0)):
        parser.add_argument(name, type=int, default=default)
    parser.add_argument("--distinct", type=float, nargs="+", default=[0.3, 1.0])
    parser.add_argument("--keep", type=Path, help="write the reports here, to look at")
    arguments = parser.parse_args()
    from qharness.report import write_report

    print("distinct\trows\tsamples.jsonl MB\tseconds\tindex.html MB\twhole report MB")
    for distinct in arguments.distinct:
        with tempfile.TemporaryDirectory() as scratch:
            top, out = Path(scratch) / "runs", (arguments.keep or Path(scratch)) / f"report-{distinct}"
            count = make(top, arguments, distinct)
            start = time.monotonic()
            write_report([top], out)
            seconds = time.monotonic() - start
            sizes = [size(top, "samples.jsonl"), size(out, "index.html"), size(out, "*")]
            print(f"{distinct}\t{count}\t{sizes[0]:.1f}\t{seconds:.1f}\t{sizes[1]:.2f}\t{sizes[2]:.2f}")


def size(folder: Path, pattern: str) -> float:
    """Megabytes of the files of this name."""
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file()) / 1e6


def make(top: Path, arguments: argparse.Namespace, distinct: float) -> int:
    """Write the runs, full precision first; returns how many completions they hold."""
    rng = random.Random(arguments.seed)
    lines = [line for module in (argparse, inspect, random, tempfile) for line in inspect.getsource(module).split("\n")]
    stretches = [lines[at : at + 15] for at in rng.sample(range(len(lines) - 15), arguments.problems)]
    for run in range(arguments.runs):
        worse = 0.1 + 0.06 * run
        completions = [
            [sample(stretch, lines, distinct, worse, rng) for _ in range(arguments.samples)] for stretch in stretches
        ]
        write_run(top, "made-up", f"rtn:{9 - run}" if run else "none", completions, storage=4_000_000 - 300_000 * run)
    return arguments.runs * arguments.problems * arguments.samples


def sample(stretch: list[str], lines: list[str], distinct: float, worse: float, rng: random.Random) -> Completion:
    """A completion, and whether it passed."""
    text = list(stretch)
    if rng.random() < distinct:
        for at in rng.sample(range(len(text)), 3):
            text[at] = rng.choice(lines)
    return "\n".join(text), rng.random() >= worse


if __name__ == "__main__":
    main()
