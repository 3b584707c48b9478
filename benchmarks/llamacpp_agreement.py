"""Greedy completions of a GGUF file by llama.cpp and by its dequantized model on transformers: how many are equal.

    python benchmarks/llamacpp_agreement.py --model build/real/smollm2-135m-instruct.gguf --chat [--limit N]

Where two differ, the dequantized model reads the prompt and the tokens that both have in common. Printed are the number
of these tokens, the two tokens that follow, the margin between the model's two likeliest next tokens (in logits), and
the median of that margin over the completion's own tokens. llama.cpp rounds what enters a product to 8 bits, and keeps
its cache in 16: where the margin is small, that decides. Both runs lie under --output and are not made again.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import torch

import qharness
from qharness.models.encoding import encode_text
from qharness.models.loading import LoadedModel, load_model


@dataclass(frozen=True)
class Difference:
    """Where two completions part: after `common` tokens, with the next token of each, and margins in logits."""

    document: int
    common: int
    tokens: tuple[str, str]
    margin: float
    median_margin: float
    among_top_two: bool


def completions(arguments: argparse.Namespace, backend: str, batch_size: int | None) -> list[dict[str, str]]:
    """The samples of a greedy run, made now or before."""
    spec = qharness.RunSpec(
        task=arguments.task, model=str(arguments.model), backend=backend, samples=1, temperature=0.0,
        limit=arguments.limit, max_new_tokens=arguments.max_new_tokens, batch_size=batch_size, chat=arguments.chat,
        data_dir=arguments.data_dir, output=arguments.output, compare=False,
    )  # fmt: skip
    result = qharness.run(spec)
    print(backend, result.metrics, result.document["timings"], flush=True)
    return [json.loads(line) for line in (result.folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()]


def answer(sample: dict[str, str]) -> str:
    """The text that was generated, without what a chat's answer was begun with."""
    begun = sample["prompt"].rsplit("\n", 2)[-2] + "\n" if sample["prompt"].endswith("\n") else ""
    return sample["completion"].removeprefix(begun)


def with_its_stop(text: str, other: str) -> str:
    """A chat's answer with the fence that ended it, where the other answer goes on from there."""
    return text + "\n```" if other.startswith(text) else text


def difference(loaded: LoadedModel, document: int, prompt: str, texts: tuple[str, str]) -> Difference:
    """Find where two texts part, and how sure the model is there."""
    tokenizer = loaded.tokenizer
    start = encode_text(tokenizer, prompt, encoder=False)
    first, second = (encode_text(tokenizer, text, encoder=False, special=False) for text in texts)
    pairs = list(zip(first, second, strict=False))
    common = next((n for n, (own, other) in enumerate(pairs) if own != other), len(pairs))
    with torch.inference_mode():
        logits = loaded.model(torch.tensor([[*start, *first[: common + 1]]])).logits[0, len(start) - 1 :].float()
    best = logits.topk(2, dim=-1)
    margins = (best.values[:, 0] - best.values[:, 1]).tolist()
    ends = tokenizer.eos_token_id
    following = tuple(ids[common] if common < len(ids) else ends for ids in (first, second))
    return Difference(
        document,
        common,
        tuple(tokenizer.convert_ids_to_tokens(list(following))),
        margins[common],
        float(torch.tensor(margins).median()),
        set(following) <= set(best.indices[common].tolist()),
    )


def main() -> None:
    """Make both runs, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a GGUF file")
    parser.add_argument("--task", default="humaneval")
    parser.add_argument("--chat", action="store_true")
    parser.add_argument("--max-new-tokens", type=int, default=300)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--slots", type=int, default=1, help="completions that llama.cpp computes together")
    parser.add_argument("--output", type=Path, default=Path("build/llamacpp-agreement"))
    arguments = parser.parse_args()
    theirs, ours = completions(arguments, "llamacpp", arguments.slots), completions(arguments, "hf", None)
    pairs = [(own, other) for own, other in zip(ours, theirs, strict=True) if answer(own) != answer(other)]
    loaded = load_model(str(arguments.model), "cpu", "float32")
    found = []
    for own, other in pairs:
        texts = answer(own), answer(other)
        if arguments.chat:
            texts = with_its_stop(*texts), with_its_stop(*texts[::-1])
        found.append(difference(loaded, int(own["doc_id"]), own["prompt"], texts))
    print(f"equal: {len(ours) - len(found)} of {len(ours)}")
    print("document\tcommon tokens\tdequantized\tllama.cpp\tmargin\tmedian margin\tboth are the two likeliest")
    for each in found:
        own, other = map(repr, each.tokens)
        margins = f"{each.margin:.3f}\t{each.median_margin:.2f}"
        print(f"{each.document}\t{each.common}\t{own}\t{other}\t{margins}\t{each.among_top_two}")


if __name__ == "__main__":
    main()
