"""Greedy pass@1 of a trained tinycoder, at full precision and after round-to-nearest quantization.

    python examples/tinycoder/evaluate.py DIR --bits 0 8 4 3 2

Bits 0 stand for full precision. Programs run in qharness's sandbox.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

sys.path.insert(0, str(Path(__file__).parent))
from tinycoder import benchmark

from qharness.filters import run_programs
from qharness.models.loading import LoadedModel
from qharness.quantization.application import quantize

NEW_TOKENS = 400
BATCH = 50


def completions(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[str]) -> list[str]:
    """The greedy completion of each prompt, up to the end token."""
    tokenizer.padding_side = "left"
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    written = {}
    for start in range(0, len(order), BATCH):
        chunk = order[start : start + BATCH]
        batch = tokenizer([prompts[i] for i in chunk], return_tensors="pt", padding=True, return_token_type_ids=False)
        with torch.inference_mode():
            out = model.generate(
                **batch, do_sample=False, max_new_tokens=NEW_TOKENS, pad_token_id=tokenizer.pad_token_id
            )
        texts = tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        written.update(zip(chunk, texts, strict=True))
    return [written[i] for i in range(len(prompts))]


def evaluate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, documents: list[dict], log: Path | None
) -> float:
    """The share of documents whose greedy completion passes all tests; `log` gets what was written."""
    texts = completions(model, tokenizer, [document["prompt"] for document in documents])
    verdicts = [verdict for (verdict,) in run_programs([[text] for text in texts], documents)]
    if log:
        lines = [json.dumps({**document, **verdict}) for document, verdict in zip(documents, verdicts, strict=True)]
        log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sum(verdict["passed"] for verdict in verdicts) / len(verdicts)


def exact_summaries(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, count: int) -> float:
    """The share of summaries that equal the canonical one."""
    documents = benchmark.summaries(count)
    texts = completions(model, tokenizer, [document["prompt"] for document in documents])
    return sum(text.strip() == document["summary"] for text, document in zip(texts, documents, strict=True)) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--bits", type=int, nargs="+", default=[0, 8, 4, 3, 2])
    parser.add_argument("--tasks", nargs="+", default=["python", "java", "seen-python", "seen-java", "summary"])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--group", type=int, default=64)
    parser.add_argument("--log", type=Path, help="a folder for what was written")
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    full = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    if options.log:
        options.log.mkdir(parents=True, exist_ok=True)
    for bits in options.bits:
        model = copy.deepcopy(full)
        if bits:
            quantize(LoadedModel(model, tokenizer, str(options.model)), f"rtn:{bits},group={options.group}")
        for task in options.tasks:
            log = options.log / f"{task}-{bits}.jsonl" if options.log else None
            if task == "summary":
                score = exact_summaries(model, tokenizer, options.count)
            else:
                documents = benchmark.documents(task.rsplit("-", 1)[-1], task.startswith("seen"), options.count)
                score = evaluate(model, tokenizer, documents, log)
            sys.stdout.write(f"{bits or 'full'} bits, {task}: {100 * score:.1f}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
