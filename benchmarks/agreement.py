"""Greedy completions three ways: qharness, lm-eval's `hf` on the same task, and transformers' `generate` by hand.

    python benchmarks/agreement.py --model build/real/gemma-3-270m [--task humaneval] [--max-new-tokens 200] [--limit N]

Where two differ, the margin between the two likeliest tokens at the first token that differs is printed: below
TIE, rounding decides it, for the three put different prompts into one batch. Each way's texts are written under
--output and not made again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, AutoTokenizer

import qharness
from qharness.evaluate.run.lm_eval_bridge import LoadedTask, load_task

TIE = 0.01
"""Logits that float32 may put in either order; the models' largest logits are about 30."""


def greedy_task(name: str, max_new_tokens: int, data_dir: Path | None) -> LoadedTask:
    """The task with one greedy completion a problem."""
    loaded = load_task(name, data_dir)
    for task in loaded.tasks.values():
        task.set_config("repeats", 1)
        changes = {"do_sample": False, "temperature": 0.0, "max_gen_toks": max_new_tokens}
        task.set_config("generation_kwargs", changes, update=True)
        task.config.generation_kwargs.pop("top_p", None)
    return loaded


def prompts_and_stops(loaded: LoadedTask, limit: int | None) -> tuple[list[str], list[str]]:
    """Each problem's prompt, and the task's stop sequences."""
    (task,) = loaded.tasks.values()
    task.build_all_requests(limit=limit)
    return [instance.args[0] for instance in task.instances], task.config.generation_kwargs["until"]


def cut(text: str, stops: Sequence[str]) -> str:
    """`text` up to the first stop sequence."""
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


def by_qharness(arguments: argparse.Namespace) -> list[str]:
    """Through `qharness run`."""
    spec = qharness.RunSpec(
        task=arguments.task, model=str(arguments.model), samples=1, temperature=0.0, limit=arguments.limit,
        max_new_tokens=arguments.max_new_tokens, data_dir=arguments.data_dir, output=arguments.output / "runs",
        compare=False,
    )  # fmt: skip
    result = qharness.run(spec)
    print("qharness", result.metrics, result.document["timings"])
    lines = (result.folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["completion"] for line in lines]


def by_lm_eval(arguments: argparse.Namespace) -> list[str]:
    """Through lm-eval's own model class."""
    loaded = greedy_task(arguments.task, arguments.max_new_tokens, arguments.data_dir)
    lm = HFLM(pretrained=str(arguments.model), dtype="float32", device="cpu", batch_size=16)
    results = simple_evaluate(
        model=lm, tasks=loaded.objects, task_manager=loaded.manager, limit=arguments.limit, bootstrap_iters=0,
        confirm_run_unsafe_code=True,
    )  # fmt: skip
    (samples,) = results["samples"].values()
    print("lm-eval hf", results["results"])
    return [sample["resps"][0][0] for sample in sorted(samples, key=lambda sample: sample["doc_id"])]


def by_hand(arguments: argparse.Namespace) -> list[str]:
    """Each prompt alone, by transformers' `generate`; the text is what the whole decodes to less the prompt."""
    loaded = greedy_task(arguments.task, arguments.max_new_tokens, arguments.data_dir)
    prompts, stops = prompts_and_stops(loaded, arguments.limit)
    model, tokenizer = load(arguments.model)
    texts = []
    for number, prompt in enumerate(prompts):
        text = generated(model, tokenizer, prompt, arguments.max_new_tokens, stops)
        if text and (prompt + text).endswith(tuple(stops)) and not text.endswith(tuple(stops)):
            text = generated(model, tokenizer, prompt, arguments.max_new_tokens, [])
        texts.append(cut(text, stops))
        print(f"\r{number + 1} of {len(prompts)}", end="", flush=True)
    print()
    return texts


def generated(
    model: AutoModelForCausalLM, tokenizer: AutoTokenizer, prompt: str, max_new_tokens: int, stops: list[str]
) -> str:
    """What `generate` adds to a prompt. It ends at a stop string that begins in the prompt, too."""
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    ending = {"stop_strings": stops, "tokenizer": tokenizer} if stops else {}
    made = model.generate(ids, do_sample=False, max_new_tokens=max_new_tokens, **ending)
    start = len(tokenizer.decode(ids[0], skip_special_tokens=True))
    return tokenizer.decode(made[0], skip_special_tokens=True)[start:]


def load(folder: Path) -> tuple[AutoModelForCausalLM, AutoTokenizer]:
    """Model in float32, and tokenizer."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(
        folder
    )


WAYS: dict[str, Callable[[argparse.Namespace], list[str]]] = {
    "qharness": by_qharness,
    "lm-eval hf": by_lm_eval,
    "by hand": by_hand,
}


@torch.inference_mode()
def margin(model: AutoModelForCausalLM, tokenizer: AutoTokenizer, prompt: str, one: str, other: str) -> float:
    """The difference of the two likeliest tokens' logits where two completions of a prompt part."""
    ids = tokenizer(prompt).input_ids
    mine, theirs = (tokenizer(prompt + text).input_ids[len(ids) :] for text in (one, other))
    same = next((n for n, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
    logits = model(torch.tensor([ids + mine[:same]])).logits[0, -1]
    best = logits.topk(2).values
    return float(best[0] - best[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--task", default="humaneval")
    parser.add_argument("--max-new-tokens", type=int, default=200)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--output", type=Path, default=Path("build/agreement"))
    arguments = parser.parse_args()
    texts = {}
    for name, complete in WAYS.items():
        file = (
            arguments.output
            / f"{arguments.model.name}-{arguments.task}-{arguments.limit}-{name.replace(' ', '-')}.json"
        )
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(complete(arguments)), encoding="utf-8")
        texts[name] = json.loads(file.read_text(encoding="utf-8"))
    prompts, _ = prompts_and_stops(greedy_task(arguments.task, 1, arguments.data_dir), arguments.limit)
    model, tokenizer = load(arguments.model)
    for one, other in (("qharness", "by hand"), ("qharness", "lm-eval hf"), ("lm-eval hf", "by hand")):
        pairs = list(zip(prompts, texts[one], texts[other], strict=True))
        margins = {n: margin(model, tokenizer, *pair) for n, pair in enumerate(pairs) if pair[1] != pair[2]}
        ties = sum(each < TIE for each in margins.values())
        print(f"{one} and {other}: {len(pairs) - len(margins)} of {len(pairs)} the same,")
        print(
            f"    {ties} ties, {len(margins) - ties} different; margins", {n: round(m, 4) for n, m in margins.items()}
        )


if __name__ == "__main__":
    main()
