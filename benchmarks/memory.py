"""The most memory that a command takes, beside its model's float32 weights.

    python benchmarks/memory.py MODEL [--only run quantize noise profile]

MODEL is a checkpoint's folder, or `2B`: a random model of CodeGen-2B's shape, written in float16 as that one is, 5.5
GB, in build/codegen-2b-shape. Each command is a process of its own. What it has of its own (`RssAnon`), and what is
mapped from files besides (`RssFile`), are read twenty times a second, of the largest process where there are several.
What Python and its libraries take without a model is in the figures, and stands in the first line.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import torch
from int8_cpu import random_model
from transformers import AutoConfig, AutoModelForCausalLM

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.tiny_models import tokenizer

BUILT = Path("build/codegen-2b-shape")
SHORT = ["--limit", "2", "--samples", "2", "--max-new-tokens", "16"]
CALIBRATED = ["--calib", "stdlib:n=8,seqlen=256"]
COMMANDS = {
    "run, full precision": ["run", "--task", "tiny-python", *SHORT],
    "run, int8-dynamic": ["run", "--quant", "int8-dynamic", "--task", "tiny-python", "--no-baseline", *SHORT],
    "run, int8-dynamic and its baseline": ["run", "--quant", "int8-dynamic", "--task", "tiny-python", *SHORT],
    "quantize, rtn:4": ["quantize", "--quant", "rtn:4"],
    "quantize, int8-dynamic": ["quantize", "--quant", "int8-dynamic"],
    "quantize, int8-static": ["quantize", "--quant", "int8-static", *CALIBRATED],
    "noise, rtn:4": ["noise", "--quant", "rtn:4", *CALIBRATED],
    "profile, int8-dynamic": ["profile", "--quant", "int8-dynamic", "--repeats", "2", "--batch-size", "1", "--anyway"],
}


def most(command: list[str]) -> tuple[float, float]:
    """The most GB that a process of the command had of its own, and in all."""
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    own = whole = 0.0
    while process.poll() is None:
        for each in (process, *_children(process)):
            try:
                lines = Path(f"/proc/{each.pid}/status").read_text().splitlines()
            except OSError:
                continue
            held = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.startswith("Rss")}
            own = max(own, held.get("RssAnon", 0) / 1e6)
            whole = max(whole, sum(held.values()) / 1e6)
        time.sleep(0.05)
    if process.returncode:
        sys.exit(f"{' '.join(command)}: {process.stderr.read().decode()[-2000:]}")
    return own * 1.024, whole * 1.024


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def parameters(model: str) -> int:
    with torch.device("meta"):
        empty = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model))
    return sum(each.numel() for each in empty.parameters())


def codegen_2b() -> str:
    """The folder of a random model of CodeGen-2B's shape, made on first use."""
    if not (BUILT / "config.json").is_file():
        random_model("2B").half().save_pretrained(BUILT)
        tokenizer().save_pretrained(BUILT)
    return str(BUILT)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--only", nargs="+", default=["run", "quantize", "noise", "profile"])
    arguments = parser.parse_args()
    model = codegen_2b() if arguments.model == "2B" else arguments.model
    float32 = parameters(model) * 4 / 1e9
    qharness = str(Path(sys.executable).with_name("qharness"))
    with tempfile.TemporaryDirectory(dir="build") as scratch:
        bare = most([sys.executable, "-c", "import lm_eval.models.huggingface, qharness.study.run_jobs"])
        print(f"{model}: {float32:.2f} GB in float32; Python and its libraries take {bare[0]:.2f} GB of their own")
        for number, (name, words) in enumerate(COMMANDS.items()):
            if words[0] not in arguments.only:
                continue
            output = ["--output", f"{scratch}/{number}"] if words[0] in ("run", "quantize") else []
            own, whole = most([qharness, words[0], "--model", model, *words[1:], *output])
            print(
                f"{name}: {own:.2f} GB of its own, {(own - bare[0]) / float32:.2f} of float32; {whole:.2f} in all",
                flush=True,
            )


if __name__ == "__main__":
    main()
