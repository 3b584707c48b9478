"""The commands of this checkout beside those of an earlier one: whether anything got slower.

    .venv/bin/python benchmarks/before_after.py EARLIER [--model FILE.gguf] [--rounds 5] [--only NAME...]

EARLIER is a folder with another commit, installed in its own .venv. Both run the same commands in turns, each in
folders and with a cache of its own, of which only the compiled tools stay from one round to the next; the first round
is not counted. Each command's seconds go to stderr as it ends. Printed are medians of the wall and of the processor, in
seconds, and the later one's part of the earlier one's. Commands that an earlier commit did not know are left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from cpu_meter import CpuMeter

HERE = Path(__file__).parents[1]
KEPT = ("toolchains", "lm-eval")  # of a cache, by the beginnings of names
COMMANDS = {
    "help": "--help",
    "list": "list --json",
    "run, 1,000 programs in Python": "run --task tiny-python --output {out}/runs",
    "run, 1,000 programs in Java": "run --task tiny-java --output {out}/runs",
    "run, summaries": "run --task tiny-summary --output {out}/runs",
    "run, int8 and its baseline": "run --quant int8-dynamic --task tiny-python --limit 30 --seed 1 --output {out}/runs",
    "run, done": "run --quant int8-dynamic --task tiny-python --limit 30 --seed 1 --output {out}/runs",
    "run, perturbed": "run --task tiny-python --perturb char --limit 30 --seed 2 --output {out}/runs",
    "runs": "runs {out}/runs --json",
    "report": "report {out}/runs --output {out}/report",
    "quantize, aqlm:3": "quantize --quant aqlm:3 --calib stdlib:n=16,seqlen=128 --output {out}/aqlm",
    "run, aqlm:3": "run --model {out}/aqlm --task tiny-python --limit 20 --output {out}/aqlm-runs",
    "noise": "noise --quant rtn:4 --calib stdlib:n=8,seqlen=128 --output {out}/noise",
    "profile": "profile --quant int8-dynamic",
}
OF_A_MODEL = {
    "quantize, rtn:4": "quantize --model {model} --quant rtn:4 --output {out}/rtn",
    "quantize, int8-dynamic": "quantize --model {model} --quant int8-dynamic --output {out}/int8",
    "run": "run --model {model} --task tiny-python --limit 8 --samples 8 --max-new-tokens 64 --output {out}/model-runs",
    "noise": "noise --model {model} --quant rtn:4 --calib stdlib:n=4,seqlen=128 --output {out}/model-noise",
}


@dataclass
class Checkout:
    """A commit that is installed, with a cache and an output folder of its own."""

    root: Path
    scratch: Path
    seconds: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def run(self, name: str, command: str, model: Path | None) -> None:
        """Run a command once; keep its seconds of the wall and of the processor, or what it said as it failed."""
        out = self.scratch / "out"
        argv = [word.format(out=out, model=model) for word in command.split()]
        environment = {**os.environ, "QHARNESS_CACHE_DIR": str(self.scratch / "cache")}
        meter = CpuMeter()
        meter.start()
        start = time.perf_counter()
        done = subprocess.run(
            [self.root / ".venv/bin/qharness", *argv], env=environment, cwd=self.root, capture_output=True, text=True
        )
        wall = time.perf_counter() - start
        self.seconds.setdefault(name, []).append((wall, meter.stop()))
        print(f"{self.root}: {name}: {wall:.2f} s, of the processor {self.seconds[name][-1][1]:.2f} s", file=sys.stderr)
        if done.returncode:
            self.failed[name] = (done.stderr.strip().splitlines() or ["nothing said"])[-1]

    def forget(self) -> None:
        """Remove what was written, and what is cached but for compiled tools."""
        shutil.rmtree(self.scratch / "out", ignore_errors=True)
        for each in (self.scratch / "cache").glob("*"):
            if not each.name.startswith(KEPT):
                shutil.rmtree(each)

    def median(self, name: str) -> tuple[float, float]:
        """The medians of a command's seconds, without the first round's."""
        wall, cpu = zip(*self.seconds[name][1:], strict=True)
        return statistics.median(wall), statistics.median(cpu)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("earlier", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+")
    options = parser.parse_args()
    model = options.model and options.model.resolve()
    of_a_model = {f"{model.stem}: {name}": command for name, command in OF_A_MODEL.items()} if model else {}
    commands = {name: command for name, command in (COMMANDS | of_a_model).items()
                if not options.only or name in options.only}  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        checkouts = [
            Checkout(options.earlier.resolve(), Path(scratch, "earlier")),
            Checkout(HERE, Path(scratch, "now")),
        ]
        for _ in range(options.rounds + 1):
            for each in checkouts:
                each.forget()
            for name, command in commands.items():
                for each in checkouts:
                    each.run(name, command, model)
        print(f"{'seconds (wall, processor)':40}{'earlier':>16}{'now':>16}{'part':>14}")
        for name in commands:
            said = [each.failed[name] for each in checkouts if name in each.failed]
            if said:
                print(f"{name:40}{said[0]}")
                continue
            (wall, cpu), (later_wall, later_cpu) = (each.median(name) for each in checkouts)
            print(f"{name:40}{wall:8.2f}{cpu:8.2f}{later_wall:8.2f}{later_cpu:8.2f}", end="")
            print(f"{later_wall / wall:7.2f}{later_cpu / cpu:7.2f}")


if __name__ == "__main__":
    main()
