"""What common random numbers are worth: the interval of a paired difference with them, beside independent draws.

    python benchmarks/coupling.py [--quant rtn:3,group=64] [--task tiny-python] [--samples 1 10] [--seeds 5]

The baseline's samples are drawn with seed s, the quantized model's once with s and once with another seed; each pair of
runs is compared as `qharness compare` does. Prints medians over seeds, and the ratio of the intervals' widths.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from qharness import RunSpec, compare
from qharness.quantization.quantized_models import Models
from qharness.study import run_tasks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quant", default="rtn:3,group=64")
    parser.add_argument("--task", default="tiny-python")
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for samples in options.samples:
            measure(options, samples, Path(scratch))


def measure(options: argparse.Namespace, samples: int, output: Path) -> None:
    models = Models()
    folders = {}
    for quant in ("none", options.quant):
        for seed in range(options.seeds + 1):
            spec = RunSpec(
                options.task, quant=quant, samples=samples, temperature=options.temperature, seed=seed,
                output=output, compare=False,
            )  # fmt: skip
            folders[quant, seed] = run_tasks([spec], models)[0].folder
    widths: dict[str, list[float]] = {"common": [], "independent": []}
    discordant: dict[str, list[int]] = {"common": [], "independent": []}
    for seed in range(options.seeds):
        for kind, other in (("common", seed), ("independent", seed + 1)):
            found = compare(folders["none", seed], folders[options.quant, other]).document
            low, high = found["pass@1"]["ci95"]
            widths[kind].append(high - low)
            discordant[kind].append(found["paper"]["b"] + found["paper"]["c"])
    for kind in widths:
        print(
            f"{samples} samples, {kind} noise: 95% interval {100 * statistics.median(widths[kind]):.1f} points wide, "
            f"{statistics.median(discordant[kind]):.0f} discordant pairs"
        )
    ratio = statistics.median(a / b for a, b in zip(widths["common"], widths["independent"], strict=True))
    print(f"{samples} samples: interval with common noise / with independent noise: {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
