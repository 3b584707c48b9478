"""Trains tinycoder.

    python examples/tinycoder/train.py --output DIR --steps 9000

The result depends on the seed, the number of steps and the kind of machine; --minutes stops after a time instead.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from tinycoder import net, tokens
from tinycoder.texts import training_texts

TOKENIZER_TEXTS = 6000


@dataclass(frozen=True)
class Recipe:
    """What the training depends on."""

    output: Path
    steps: int = 9000
    minutes: float = 0.0
    seed: int = 0
    batch: int = 4096  # tokens
    rate: float = 2e-3
    decay: float = 0.1
    prompt_weight: float = 0.1
    dtype: str = "float32"
    hidden: int = 192
    layers: int = 6
    inner: int = 512
    heads: int = 6
    vocabulary: int = tokens.VOCABULARY
    save_every: int = 500


def train(recipe: Recipe) -> None:
    """Train from nothing, saving now and then, and write model, tokenizer and recipe to the output folder."""
    torch.manual_seed(recipe.seed)
    pieces = islice(training_texts(random.Random(recipe.seed)), TOKENIZER_TEXTS)
    tokenizer = tokens.trained((part for text in pieces for part in (text.prompt, text.completion)), recipe.vocabulary)
    model = net.build(net.Shape(recipe.hidden, recipe.layers, recipe.inner, recipe.heads), tokenizer)
    report(f"{sum(p.numel() for p in model.parameters()):,} parameters, {torch.get_num_threads()} threads")
    matrices = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": recipe.decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.95), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=recipe.steps, pct_start=0.03)
    started, seen, smooth = time.monotonic(), 0, 0.0
    batches = net.batches(tokenizer, random.Random(recipe.seed + 1), recipe.batch)
    for step, batch in enumerate(islice(batches, recipe.steps), start=1):
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.dtype == "bfloat16"):
            loss, nats = net.loss(model, batch, recipe.prompt_weight)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        seen += batch.tokens
        smooth = nats.item() if step == 1 else 0.98 * smooth + 0.02 * nats.item()
        seconds = time.monotonic() - started
        if step % 10 == 0:
            report(
                f"step {step}/{recipe.steps}: {smooth:.4f} nats a written token, {seen / seconds:,.0f} tokens/s, {seconds:.0f} s"
            )
        if step % recipe.save_every == 0:
            save(model, tokenizer, recipe, step, seen)
        if recipe.minutes and seconds > recipe.minutes * 60:
            break
    save(model, tokenizer, recipe, step, seen)


def save(model: torch.nn.Module, tokenizer, recipe: Recipe, step: int, seen: int) -> None:
    """Write a copy of the model in float16, and how it came about."""
    half = type(model)(model.config)
    half.load_state_dict(model.state_dict())
    half.half().save_pretrained(recipe.output)
    tokenizer.save_pretrained(recipe.output)
    facts = {**asdict(recipe), "output": "", "steps_done": step, "tokens": seen, "torch": torch.__version__}
    (recipe.output / "recipe.json").write_text(json.dumps(facts, indent=2) + "\n")


def report(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    for name, default in asdict(Recipe(Path())).items():
        if name != "output":
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    train(Recipe(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
