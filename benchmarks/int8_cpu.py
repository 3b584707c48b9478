"""Int8 on the CPU beside float32: latency, disk and the conversion's peak, for random models in CodeGen's shapes.

    python benchmarks/int8_cpu.py [--model 350M 2B] [--quant int8-dynamic ...] [--batch 1 8] [--rounds 5]

A prediction is a prompt of 128 tokens and 20 tokens after it, as in Wei et al. 2023, section IV.A. Models take turns
within one process, so that a ratio compares rounds that ran side by side; medians count. The peak is that of a process
of its own which makes the model and converts it. 2B runs at batch 1 unless --batch is given, and needs 16 GB.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from transformers import CodeGenConfig, CodeGenForCausalLM, PreTrainedModel

sys.path.insert(0, str(Path(__file__).parents[1]))
from qharness import Calibration
from qharness.models.checkpoint_formats import select_kernels
from qharness.models.loading import LoadedModel
from qharness.models.onednn_linear import onednn_linear
from qharness.models.weight_footprint import resident_bytes
from qharness.quantization.application import quantize_loaded
from qharness.registry import get_registry
from tests.tiny_models import tokenizer

SHAPES = {
    "tiny": {"n_layer": 2, "n_head": 4, "n_embd": 256, "rotary_dim": 32},
    "350M": {"n_layer": 20, "n_head": 16, "n_embd": 1024, "rotary_dim": 32},
    "2B": {"n_layer": 32, "n_head": 32, "n_embd": 2560, "rotary_dim": 64},
}
BATCHES = {"tiny": (1, 8), "350M": (1, 8), "2B": (1,)}
QUANTS = ("int8-dynamic", "int8-static", "int8-dynamic:activations=tensor")
PROMPT, NEW = 128, 20


def random_model(name: str) -> PreTrainedModel:
    """A model whose weights are drawn layer by layer, with no second copy of any."""
    config = CodeGenConfig(**SHAPES[name], vocab_size=51200, n_positions=2048, n_ctx=2048, tie_word_embeddings=False)
    torch.manual_seed(0)
    with torch.device("meta"):
        model = CodeGenForCausalLM(config)
    model.to_empty(device="cpu")
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.reset_parameters()
        elif isinstance(module, nn.Linear | nn.Embedding):
            module.weight.data.normal_(0.0, 0.02)
            if getattr(module, "bias", None) is not None:
                module.bias.data.zero_()
    fresh = CodeGenForCausalLM(
        CodeGenConfig(**{**SHAPES[name], "n_layer": 1}, vocab_size=8, n_positions=2048, n_ctx=2048)
    )
    tables = dict(fresh.named_buffers())
    for buffer_name, buffer in model.named_buffers():
        buffer.copy_(tables[buffer_name.replace(f".{number(buffer_name)}.", ".0.")])
    return model.eval()


def number(name: str) -> str:
    """The block's number in a dotted name."""
    return next(part for part in name.split(".") if part.isdecimal())


def quantized(model: PreTrainedModel, spec: str, log: bool = False) -> PreTrainedModel:
    """Quantize a model in place, as `qharness run` does it; static ranges come from random tokens."""
    loaded = LoadedModel(model, tokenizer(), "random")
    generator = torch.Generator().manual_seed(1)
    sequences = [torch.randint(0, 51200, (PROMPT,), generator=generator) for _ in range(8)]
    quantizer = get_registry().quantizer(spec)
    quantize_loaded(loaded, quantizer, calibration=Calibration(sequences, {}), log=print if log else lambda _: None)
    return loaded.model


def twin(model: PreTrainedModel) -> PreTrainedModel:
    """Another module tree on the same tensors."""
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, shared)


def latency(model: PreTrainedModel, ids: torch.Tensor) -> float:
    start = time.perf_counter()
    with torch.inference_mode(), onednn_linear():
        model.generate(ids, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, pad_token_id=0)
    return time.perf_counter() - start


def disk_bytes(model: PreTrainedModel, spec: str) -> int | None:
    """What the checkpoint's weights take, written; None for a quantizer without one."""
    quantizer = get_registry().quantizer(spec)
    if quantizer.batch_dependent:
        return None
    with tempfile.TemporaryDirectory() as folder:
        quantizer.save(model, Path(folder))
        return sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))


def memory(key: str) -> int:
    """A line of this process's status, in bytes: VmRSS, what it holds; VmHWM, the most since the last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def peak(name: str, spec: str) -> float:
    """The most that is held while converting, as a ratio to what is held before: in this process, a fresh one.

    What Python and its libraries hold is left out of both.
    """
    quantized(random_model("tiny"), spec)  # what libraries take once
    gc.collect()
    before = memory("VmRSS")
    model = random_model(name)
    held = memory("VmRSS") - before
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    quantized(model, spec)
    return (memory("VmHWM") - before) / held


def measured_peak(name: str, spec: str) -> float:
    command = [sys.executable, __file__, "--peak", name, "--quant", spec]
    return float(
        json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()[-1])
    )


def measure(name: str, specs: list[str], batches: list[int], rounds: int) -> None:
    full = random_model(name)
    size = resident_bytes(full)
    models = {"none": full}
    for spec in specs:
        start = time.perf_counter()
        model = quantized(twin(full), spec, log=True)
        seconds, held = time.perf_counter() - start, resident_bytes(model)
        written = disk_bytes(model, spec)
        kernels = select_kernels(model)
        disk = "no checkpoint" if written is None else f"disk {written / 1e9:.3f} GB, {written / size:.3f} of float32"
        print(f"{name} {spec}: made in {seconds:.1f} s, {disk}; memory {held / size:.3f}, kernels {kernels or 'no'} "
              f"{resident_bytes(model) / size:.3f}", flush=True)  # fmt: skip
        models[spec] = model
    for batch in batches:
        ids = torch.randint(3, 51200, (batch, PROMPT), generator=torch.Generator().manual_seed(0))
        times: dict[str, list[float]] = {spec: [] for spec in models}
        for turn in range(rounds + 1):
            for spec, model in models.items():
                seconds = latency(model, ids)
                if turn:  # the first is for warming up
                    times[spec].append(seconds)
        middle = {spec: statistics.median(each) for spec, each in times.items()}
        for spec, each in times.items():
            ratio = statistics.median(own / base for own, base in zip(each, times["none"], strict=True))
            print(f"{name} batch {batch} {spec}: {middle[spec]:.2f} s ({min(each):.2f} to {max(each):.2f}), "
                  f"ratio {ratio:.3f}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", choices=SHAPES, default=["350M", "2B"])
    parser.add_argument("--quant", nargs="+", default=list(QUANTS))
    parser.add_argument("--batch", nargs="+", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-peak", action="store_true")
    parser.add_argument("--peak", choices=SHAPES, help="print one conversion's peak and end")
    options = parser.parse_args()
    if options.peak:
        print(peak(options.peak, options.quant[0]))
        return
    print(f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}")
    for name in options.model:
        if not options.no_peak:
            for spec in options.quant:
                print(f"{name} {spec}: conversion peaks at {measured_peak(name, spec):.3f} of float32", flush=True)
        measure(name, options.quant, options.batch or list(BATCHES[name]), options.rounds)


if __name__ == "__main__":
    main()
