"""Tokens a second: qharness's continuous batching beside transformers' own (`generate_batch`), greedily, on a CPU.

    python benchmarks/continuous_batching.py [--model tinycoder] [--prompts 64] [--tokens 64] [--batch-size 32]

Both complete the same cuts of this package's own source code in float32, by turns; medians count. Each completion must
be the same text in both.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from pathlib import Path

from transformers import ContinuousBatchingConfig, GenerationConfig

from qharness.models.checkpoint import Checkpoint
from qharness.models.decoding import Decoding
from qharness.models.detokenization import CompletionText
from qharness.models.engine import Prompt
from qharness.models.generation import Generation
from qharness.models.loading import load_model
from qharness.models.sampling import SampleKey

SOURCE = Path(__file__).parents[1] / "qharness/models/engine.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tinycoder")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    loaded = load_model(Checkpoint(options.model), device="cpu")
    generation = Generation(loaded.model, loaded.tokenizer, 1024, seed=0)
    source = loaded.tokenizer(SOURCE.read_text(), verbose=False)["input_ids"]
    rng = random.Random(0)
    cuts = [(rng.randrange(len(source) - 160), rng.randrange(40, 160)) for _ in range(options.prompts)]
    prompts = [Prompt(tuple(source[at : at + n]), (SampleKey(i, 0),)) for i, (at, n) in enumerate(cuts)]
    decoding = Decoding(0.0, 1.0, options.tokens, until=(), num_beams=1)
    ends = sorted(generation._end_tokens(decoding).always)
    config = GenerationConfig(do_sample=False, max_new_tokens=options.tokens, eos_token_id=ends, pad_token_id=0)
    paged = ContinuousBatchingConfig(  # the fastest of those tried
        num_blocks=16 * options.batch_size, page_size=16, max_batch_tokens=8 * options.batch_size,
        max_requests_per_batch=options.batch_size, allow_block_sharing=False,
    )  # fmt: skip

    def qharness() -> list[str]:
        found = {number: text for number, _, text in generation(prompts, decoding, options.batch_size)}
        return [found[number] for number in range(len(prompts))]

    def transformers() -> list[str]:
        made = loaded.model.generate_batch(
            [list(prompt.ids) for prompt in prompts], generation_config=config, continuous_batching_config=paged
        )
        tokens = {tuple(each.prompt_ids): each.generated_tokens for each in made.values()}
        return [CompletionText(generation.detokenizer, p.ids).of(tokens[p.ids]) for p in prompts]

    expected = qharness()
    count = sum(len(loaded.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in expected)
    rates: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for complete in (qharness, transformers):
            start = time.perf_counter()
            texts = complete()
            rates.setdefault(complete.__name__, []).append(count / (time.perf_counter() - start))
            print(f"{complete.__name__}: {sum(map(str.__eq__, texts, expected))} of {len(texts)} texts are the same")
    figures = ", ".join(f"{name} {statistics.median(each):.0f}" for name, each in rates.items())
    print(f"{options.model}, batch {options.batch_size}, {options.tokens} tokens: tokens/s {figures}")


if __name__ == "__main__":
    main()
