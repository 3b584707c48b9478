"""How far quantization takes a model's next-token distributions from full precision's, on texts it was not tuned on.

    python examples/tinycoder/write_texts.py build/tinycoder-texts.jsonl
    python benchmarks/divergence.py --quants aqlm:2 rtn:2 --calibs 'files:"build/tinycoder-texts.jsonl"' prose
    python benchmarks/divergence.py --model FOLDER --quants int8-dynamic int8-dynamic:tied_head=true

For each quantizer and calibration set: KL(full || quantized) in nats a token over texts of held-out compositions, and
the share of tokens whose likeliest successor stays the same. tinycoder's texts are its own; other models read 48 of the
standard library's, of 256 tokens (seed 99).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "examples/tinycoder"))
from tinycoder import benchmark

from qharness.models.encoding import encode_text
from qharness.models.loading import LoadedModel, load_model
from qharness.quantization.calibration import calibrate
from qharness.quantization.quantized_models import Models
from qharness.quantization.resolution import bind_model, resolve
from qharness.registry import get_registry
from qharness.specs import ModelSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tinycoder")
    parser.add_argument("--quants", nargs="+", required=True)
    parser.add_argument("--calibs", nargs="+", default=["stdlib"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--texts", type=int, default=100, help="in each language, of tinycoder's")
    options = parser.parse_args()
    full = load_model(options.model, "cpu", "float32")
    ids = own_texts(full, options.texts) if options.model == "tinycoder" else library_texts(full)
    print(f"{len(ids)} texts, {sum(each.numel() for each in ids)} tokens", flush=True)
    for quant in options.quants:
        for calib in options.calibs if get_registry().quantizer(quant).needs_calibration else [None]:
            for seed in options.seeds:
                asked = ModelSpec(options.model, quant, calib, seed, device="cpu", dtype="float32")
                start = time.process_time()
                model = Models().get(resolve(bind_model(asked))).loaded.model
                seconds = time.process_time() - start
                kl, same = compare(model, full.model, ids)
                print(
                    f"{quant} on {calib}, seed {seed}: KL {kl:.5f}, same {100 * same:.1f}% ({seconds:.0f} s)",
                    flush=True,
                )


def own_texts(full: LoadedModel, count: int) -> list[Tensor]:
    """Token ids [1, length] of tinycoder's own kind of text."""
    texts = [
        document["prompt"] + document["canonical_solution"]
        for language in ("python", "java")
        for document in benchmark.documents(language, count=count)
    ]
    return [torch.tensor(encode_text(full.tokenizer, text, encoder=False))[None] for text in texts]


def library_texts(full: LoadedModel) -> list[Tensor]:
    """Token ids [1, length] of the standard library's files."""
    texts = get_registry().calibration_set("stdlib:n=48,seqlen=256")
    return [sequence[None] for sequence in calibrate(full, texts, seed=99).sequences]


@torch.no_grad()
def log_probabilities(model: nn.Module, ids: Tensor) -> Tensor:
    """[length, vocabulary]"""
    found: Tensor = model(input_ids=ids).logits[0].float().log_softmax(-1)
    return found


def compare(model: nn.Module, full: nn.Module, ids: list[Tensor]) -> tuple[float, float]:
    """The divergence, and the share of tokens with the same likeliest successor."""
    total = same = 0.0
    for each in ids:
        found, target = log_probabilities(model, each), log_probabilities(full, each)
        total += float((target.exp() * (target - found)).sum())
        same += float((target.argmax(-1) == found.argmax(-1)).sum())
    count = sum(each.numel() for each in ids)
    return total / count, same / count


if __name__ == "__main__":
    main()
