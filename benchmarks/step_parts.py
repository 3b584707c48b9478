"""What a decode step is made of, in milliseconds by kind of operation: float32 beside int8, by batch.

    python benchmarks/step_parts.py FILE.gguf [--batch 1 4 16 48] [--rounds 5]

The steps are those of decode_step.py, by qharness alone. PyTorch's profiler times the operations, which adds a little
to each; medians over the rounds, in which float32 and int8 take turns. "Left" is what a step would take of float32's
time if its products took none: what no quantizer of weights goes below.
"""

from __future__ import annotations

import statistics
from collections import Counter

import torch
from decode_step import FEW, INT8, MANY, Engine, arguments, engine
from torch.profiler import ProfilerActivity, profile

KINDS = {
    "products": ("mkldnn::", "aten::mm", "aten::addmm", "aten::linear", "quantized::"),
    "attention": ("aten::bmm", "aten::baddbmm", "aten::_softmax", "aten::softmax", "aten::masked_fill"),
}
REST = "the rest"


def kind(operation: str) -> str:
    return next((name for name, starts in KINDS.items() if operation.startswith(starts)), REST)


def parts(run: Engine, rows: int) -> Counter[str]:
    """Milliseconds a step by kind: the difference between completions of few tokens and of many."""
    found: Counter[str] = Counter()
    for tokens, sign in ((FEW, -1), (MANY, 1)):
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            run(rows, tokens)
        for each in seen.key_averages():
            found[kind(each.key)] += sign * each.self_cpu_time_total / 1e3 / (MANY - FEW)
    return found


def main() -> None:
    options = arguments(__doc__).parse_args()
    engines = {way: engine(f"qharness {way}", options.model) for way in ("float32", *INT8)}
    print(f"{options.model.name}: {torch.get_num_threads()} threads, torch {torch.__version__}", flush=True)
    for rows in options.batch:
        rounds = [{way: parts(run, rows) for way, run in engines.items()} for _ in range(options.rounds + 1)][1:]
        whole = 0.0
        for way in engines:
            medians = {name: statistics.median(each[way][name] for each in rounds) for name in (*KINDS, REST)}
            total = sum(medians.values())
            whole = whole or total
            said = ", ".join(f"{name} {value:.1f}" for name, value in medians.items())
            left = (total - medians["products"]) / whole
            print(f"batch {rows:3} {way:28} {total:6.1f}: {said}; {total / whole:.2f}, left {left:.2f}", flush=True)


if __name__ == "__main__":
    main()
