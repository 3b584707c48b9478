"""Completions a second: qharness's generation beside lm-eval's own HFLM, on the same requests at the same batch size.

    python benchmarks/generation.py [--model tinycoder codegen-350M FOLDER ...] [--device cpu|cuda] [--batch-size 128]

Twenty samples a prompt at temperature 0.2 and top-p 0.95, as Giagnorio et al. 2025 draw them. codegen-350M has random
weights in that model's shape, so nothing is downloaded; it never ends a completion by itself. A checkpoint, a folder or
a GGUF file, completes four prompts of at most 64 tokens each. Each prints its own figure and the ratio; the two take
turns, and medians count.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import CodeGenConfig, CodeGenForCausalLM

sys.path.insert(0, str(Path(__file__).parents[1]))
from qharness.evaluate.run.lm_eval_bridge import load_task
from qharness.models.lm import LoadedLM
from qharness.models.loading import LoadedModel, load_model
from tests.tiny_models import tokenizer as byte_tokenizer

SAMPLES = 20
RANDOM = "codegen-350M"


def requests(prompts: list[str], max_new_tokens: int) -> list[Instance]:
    """lm-eval's requests for `repeats: 20`: each instance twenty times."""
    arguments = {"do_sample": True, "temperature": 0.2, "top_p": 0.95, "max_gen_toks": max_new_tokens}
    found = []
    for number, prompt in enumerate(prompts):
        given = {**arguments, "until": ["\nclass", "\ndef", "\n#"]}
        instance = Instance("generate_until", {}, (prompt, given), 0, metadata=("task", number, SAMPLES))
        found += [instance] * SAMPLES
    return found


def model(name: str, device: str) -> LoadedModel:
    if name != RANDOM:
        return load_model(name, device, dtype="float32")
    torch.manual_seed(0)
    config = CodeGenConfig(n_layer=20, n_head=16, n_embd=1024, rotary_dim=32, vocab_size=51200, n_positions=2048)
    tokenizer = byte_tokenizer()
    config.eos_token_id, config.bos_token_id = tokenizer.eos_token_id, tokenizer.bos_token_id
    return LoadedModel(CodeGenForCausalLM(config).eval().to(device), tokenizer, name)


def measure(name: str, prompts: list[str], device: str, batch_size: int, max_new_tokens: int, rounds: int) -> None:
    loaded = model(name, device)
    stock = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=batch_size, max_length=2048)
    ours = LoadedLM(loaded, batch_size=batch_size)
    rates: dict[str, list[float]] = {"HFLM": [], "qharness": []}
    for _ in range(rounds):
        for label, lm in (("HFLM", stock), ("qharness", ours)):
            asked = requests(prompts, max_new_tokens)
            start = time.perf_counter()
            made = lm.generate_until(asked, disable_tqdm=True)
            rates[label].append(len(made) / (time.perf_counter() - start))
    medians = {label: statistics.median(each) for label, each in rates.items()}
    ratio = medians["qharness"] / medians["HFLM"]
    figures = ", ".join(f"{label} {rate:.2f}" for label, rate in medians.items())
    print(
        f"{name}, batch {batch_size}, {max_new_tokens} tokens: completions/s {figures}; ratio {ratio:.2f}", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["tinycoder", RANDOM])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int)
    options = parser.parse_args()
    (task,) = load_task("tiny-python").tasks.values()
    prompts = [doc["prompt"] for doc in task.eval_docs]
    settings = {"tinycoder": (60, 200, 3), RANDOM: (2, 64, 1)}
    for name in options.model:
        count, tokens, rounds = settings.get(name, (4, 64, 3))
        rounds = options.rounds or rounds
        measure(name, prompts[:count], options.device, options.batch_size, tokens, rounds)


if __name__ == "__main__":
    main()
