"""Trains a small Llama to repeat the benchmark's own solutions: something to quantize where nothing can be fetched.

    python -m qharness_warmup.memorize DIR

A model that has seen the answers measures nothing. It shows what a run looks like, and quantization damages it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from qharness_warmup import rows

SPECIALS = ["<pad>", "<s>", "</s>"]
STEPS = 130


def byte_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """One token a byte."""
    symbols = [*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(symbols)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def train(folder: Path, seed: int = 0, steps: int = STEPS, languages: Sequence[str] = ("python", "java")) -> float:
    """Train on all problems at once and write model and tokenizer to `folder`; return the last loss (nats a token)."""
    torch.manual_seed(seed)
    tokenizer = byte_tokenizer()
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=96, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4,
        max_position_embeddings=1024, tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config)
    texts = [row["prompt"] + row["canonical_solution"] for language in languages for row in rows(language)]
    batch = tokenizer([text + "</s>" for text in texts], return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        loss = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return float(loss.detach())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m qharness_warmup.memorize DIR")
    sys.stderr.write(f"trained to a loss of {train(Path(sys.argv[1])):.3f} nats a token\n")
