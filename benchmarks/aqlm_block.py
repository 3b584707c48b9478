"""AQLM on a real model's first blocks: error and time of each layer, and of each phase of the work.

    python benchmarks/aqlm_block.py --model build/real/smollm2.gguf --quant aqlm:3 --calib stdlib:n=32,seqlen=256
    python benchmarks/aqlm_block.py ... --blocks 4

A line a layer: seconds, rounds, error ||(W - What) X||^2 / ||W X||^2. A line a block: the error of its output before
and after it was trained. At the end a table of phases. Seconds are of the wall and of the processor; the latter changes
less where the machine does other work too. Phases of layers that are quantized at once overlap: theirs are sums.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import torch

from qharness import block_linears, find_blocks
from qharness.models.loading import load_model
from qharness.plugins.aqlm import Aqlm, block, blockwise, layer
from qharness.plugins.aqlm.block_progress import Steps
from qharness.plugins.aqlm.fast_float32 import fast_float32
from qharness.plugins.aqlm.replay import Replay
from qharness.quantization.calibration import calibrate
from qharness.quantization.resolution import bind_set
from qharness.registry import get_registry

PHASES = {
    "X^T X": (blockwise, "collect_xtx"),
    "k-means": (layer, "kmeans"),
    "nearest": (layer, "nearest"),
    "GPTQ": (layer, "gptq_codes"),
    "codebooks": (layer, "solve_codebooks"),
    "scales": (layer, "solve_scales"),
    "search": (layer, "beam_search"),
    "tuning": (blockwise, "tune_block"),
    "next inputs": (Replay, "advance"),
}


@dataclass
class Phase:
    """How often a phase was entered, and its seconds of the wall and of the processor."""

    calls: int = 0
    wall: float = 0.0
    processor: float = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            wall, processor = time.perf_counter(), time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.calls += 1
                self.wall += time.perf_counter() - wall
                self.processor += time.process_time() - processor

        return run


def time_phases() -> dict[str, Phase]:
    """Put a clock around each phase's function; return the clocks by name."""
    clocks = {name: Phase() for name in PHASES}
    for name, (owner, function) in PHASES.items():
        setattr(owner, function, clocks[name].timed(getattr(owner, function)))
    return clocks


def report_layers() -> None:
    """Let each layer print its line."""
    quantize: Callable[..., layer.LayerResult] = block.quantize_layer

    def reported(weight: torch.Tensor, *args: Any, **kwargs: Any) -> layer.LayerResult:
        clock = Phase()
        result: layer.LayerResult = clock.timed(quantize)(weight, *args, **kwargs)
        shape = "x".join(map(str, weight.shape))
        print(
            f"  {shape}: error {result.errors[-1]:.5f} after {len(result.errors) - 1} rounds from "
            f"{result.errors[0]:.5f}, {clock.wall:.2f} s ({clock.processor:.2f})",
            flush=True,
        )
        return result

    block.quantize_layer = reported


class EnoughBlocks(Exception):  # noqa: N818 - no error
    """Ends the work."""


@dataclass
class FirstBlocks:
    """In place of the cache of finished blocks: holds none, and ends the work after `most`."""

    most: int
    done: int = field(default=0)

    def read(self, name: str) -> None:
        if self.done == self.most:
            raise EnoughBlocks

    def write(self, name: str, part: object) -> None:
        self.done += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--quant", default="aqlm:3")
    parser.add_argument("--calib", default="stdlib:n=32,seqlen=256")
    parser.add_argument("--blocks", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    quantizer = get_registry().quantizer(options.quant)
    assert isinstance(quantizer, Aqlm)
    loaded = load_model(options.model, "cpu", "float32")
    calibration_set = bind_set(options.calib)
    calibration = calibrate(loaded, calibration_set, seed=options.seed)
    linears = {name: (linear.out_features, linear.in_features) for name, linear in block_linears(loaded.model).items()}
    tuning = None if quantizer.finetune == "none" else block.Tuning()
    search = layer.Search(beam=quantizer.beam)
    plan = blockwise.BlockPlan(quantizer.shape(linears), search, tuning, options.seed)
    print(f"{len(linears)} layers, {len(find_blocks(loaded.model))} blocks; {plan}", flush=True)
    clocks, whole = time_phases(), Phase()
    report_layers()
    measure(loaded.model, calibration.sequences, list(linears), plan, options.blocks, whole)
    print(f"{'phase':12} {'calls':>6} {'wall':>8} {'processor':>10}")
    for name, clock in [*clocks.items(), ("all", whole)]:
        print(f"{name:12} {clock.calls:6} {clock.wall:8.2f} {clock.processor:10.2f}")


def measure(
    model: Any, sequences: list[torch.Tensor], names: list[str], plan: blockwise.BlockPlan, blocks: int, clock: Phase
) -> None:
    cache: Any = FirstBlocks(blocks)
    steps = Steps(lambda done, total: None, 0)
    try:
        with torch.no_grad(), fast_float32():
            clock.timed(blockwise.quantize_blocks)(model, sequences, names, plan, cache, print, steps)
    except EnoughBlocks:
        pass


if __name__ == "__main__":
    main()
