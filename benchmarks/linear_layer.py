"""One Linear of the feed-forward layers of CodeGen-2B, 6B and 16B, in float32, 16 bit and int8: table III of the paper.

    python benchmarks/linear_layer.py [--device cpu|cuda] [--rows 1 128] [--dims 2560x10240 ...] [--seconds 4]
                                      [--shared]

Wei et al. 2023 timed CUTLASS kernels on a GPU and do not say for how many rows; here it is PyTorch's kernels, and the
layers that qharness's own quantizers make. 16 bit is bfloat16 on a CPU and float16 on a GPU. `int8 product` is the
matrix product alone, as in the paper: no scales, no rounding of activations. All take turns, round by round, so that a
busy machine slows all of them; medians with quartiles, and medians by float32's beside the paper's ratio. `--shared` is
for a CPU that others use as well: one thread, and its processor time in place of the clock's.
Tried on a CPU; its CUDA path has not been run yet.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import CodeGenConfig, CodeGenForCausalLM

from qharness.models.loading import LoadedModel
from qharness.quantization.application import quantize_loaded
from qharness.registry import get_registry

PAPER = {  # dims: (float32, float16, int8) in milliseconds, table III
    "2560x10240": (1.55, 1.10, 0.90),
    "4096x16384": (1.81, 1.28, 1.08),
    "6144x24576": (2.11, 1.68, 1.29),
}
QUANTIZERS = {"cpu": ("int8-dynamic", "int8-dynamic:activations=tensor"), "cuda": ("int8-dynamic",)}
LEAST_MS = 2.0  # a timing shorter than this counts several runs
PADDED = 24  # CUDA's int8 product takes more than 16 rows, in multiples of 8


def block(width: int, inner: int, device: str) -> CodeGenForCausalLM:
    """A model of one block with random weights: quantizers take models, not layers."""
    torch.manual_seed(0)
    config = CodeGenConfig(
        n_layer=1,
        n_head=16,
        n_embd=width,
        n_inner=inner,
        rotary_dim=16,
        vocab_size=64,
        n_positions=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    return CodeGenForCausalLM(config).eval().to(device)


def variants(width: int, inner: int, rows: int, device: str) -> dict[str, Callable[[], Tensor]]:
    """What is timed, by name: each a layer and its input, or the product alone."""
    x = torch.randn(rows, width, generator=torch.Generator().manual_seed(1)).to(device)
    half = torch.float16 if device == "cuda" else torch.bfloat16
    plain: nn.Module = block(width, inner, device).transformer.h[0].mlp.fc_in
    found = {"float32": (plain, x), str(half).removeprefix("torch."): (halved(plain, half), x.to(half))}
    for quant in QUANTIZERS[device]:
        loaded = LoadedModel(block(width, inner, device), None, "one block")  # type: ignore[arg-type]
        quantize_loaded(loaded, get_registry().quantizer(quant))
        found[quant] = loaded.model.transformer.h[0].mlp.fc_in, x
    calls = {name: (lambda layer=layer, x=x: layer(x)) for name, (layer, x) in found.items()}
    return {**calls, "int8 product": product(width, inner, rows, device)}


def halved(layer: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of a Linear in another dtype."""
    weight, bias = layer.weight.detach().to(dtype), layer.bias.detach().to(dtype)
    copy = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    copy.weight, copy.bias = nn.Parameter(weight), nn.Parameter(bias)
    return copy


def product(width: int, inner: int, rows: int, device: str) -> Callable[[], Tensor]:
    """The product of random int8 matrices, exact, to int32."""
    rng = torch.Generator().manual_seed(2)
    x = torch.randint(-127, 128, (max(rows, PADDED) if device == "cuda" else rows, width), generator=rng)
    weight = torch.randint(-127, 128, (inner, width), generator=rng)
    x, weight = x.to(device, torch.int8), weight.to(device, torch.int8)
    return lambda: torch._int_mm(x, weight.t())


def milliseconds(call: Callable[[], Tensor], runs: int, device: str, clock: Callable[[], float]) -> float:
    """Of one call, over several."""
    start = clock()
    for _ in range(runs):
        call()
    if device == "cuda":
        torch.cuda.synchronize()
    return (clock() - start) * 1000 / runs


@torch.inference_mode()
def compare(dims: str, rows: int, device: str, seconds: float, clock: Callable[[], float]) -> None:
    width, inner = (int(part) for part in dims.split("x"))
    calls = variants(width, inner, rows, device)
    runs = {}
    for name, call in calls.items():  # the first of each allocates, and chooses its kernel
        milliseconds(call, 2, device, clock)
        runs[name] = max(1, round(LEAST_MS / milliseconds(call, 2, device, clock)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(times["float32"]) < 5:
        for name, call in calls.items():
            times[name].append(milliseconds(call, runs[name], device, clock))
    base = statistics.median(times["float32"])
    paper = PAPER.get(dims)
    for place, (name, each) in enumerate(times.items()):
        q1, median, q3 = statistics.quantiles(each, n=4, method="inclusive")
        theirs = f"{paper[min(place, 2)] / paper[0]:.2f}" if paper else ""
        print(
            f"| {dims} | {rows} | {name} | {median:.3f} | {q1:.3f} to {q3:.3f} | {median / base:.2f} | {theirs} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=sorted(QUANTIZERS), default="cpu")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 128])
    parser.add_argument("--dims", nargs="+", default=list(PAPER))
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--shared", action="store_true")
    options = parser.parse_args()
    clock = time.process_time if options.shared else time.perf_counter
    if options.shared:
        torch.set_num_threads(1)
    print(f"{options.device}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}\n")
    print("| layer | rows | | ms | quartiles | to float32 | the paper's |\n|---|---|---|---|---|---|---|")
    for dims in options.dims:
        for rows in options.rows:
            compare(dims, rows, options.device, options.seconds, clock)


if __name__ == "__main__":
    main()
