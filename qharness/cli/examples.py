"""Two examples of each command, for the end of its `--help`."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, str]] = {
    "run": (
        "qharness run --task tiny-python --quant rtn:3",
        "qharness run --task humaneval mceval-java --model DIR --quant aqlm:3 --max-loss 1",
    ),
    "choose": (
        "qharness choose --task tiny-python --quant rtn:2 rtn:3 rtn:4 int8-dynamic",
        "qharness choose --task mceval-java --model DIR --quant aqlm:2 aqlm:3 --budget 60",
    ),
    "compare": (
        "qharness compare RUN_A RUN_B",
        "qharness compare RUN_A RUN_B --max-loss 5% --fail-unless-holds --json",
    ),
    "study": ("qharness study study.toml --dry-run", "qharness study study.toml --output runs --workers 2"),
    "report": ("qharness report runs --output report", "qharness report runs --output report --max-loss 1"),
    "runs": ("qharness runs", "qharness runs runs --newest 5 --json"),
    "setup": ("qharness setup", "qharness setup mceval-java --yes"),
    "profile": (
        "qharness profile --quant int8-dynamic",
        "qharness profile --model DIR --quant rtn:4 --batch-size 1 --batch-size 16",
    ),
    "footprint": (
        "qharness footprint --quant aqlm:3",
        "qharness footprint --model FILE.gguf --json",
    ),
    "noise": (
        "qharness noise --quant rtn:3 --quant rtn:4",
        "qharness noise --model DIR --quant int8-dynamic --output noise",
    ),
    "quantize": (
        "qharness quantize --quant rtn:3 --output rounded",
        "qharness quantize --model DIR --quant aqlm:2 --calib code --output packed",
    ),
    "score": (
        "qharness score --task humaneval --samples samples.jsonl",
        "qharness score --task tiny-python --samples answers.jsonl --chat --output scored.jsonl",
    ),
    "export": (
        "qharness export RUN --format human-eval --output samples.jsonl",
        "qharness export RUN --format lm-eval --output FOLDER",
    ),
    "perturb": (
        "qharness perturb --task tiny-python --perturb word:0.5 --output perturbed.md",
        "qharness perturb --task humaneval --perturb char+word --output perturbed.jsonl",
    ),
    "lm-eval": (
        "qharness lm-eval ls tasks",
        "qharness lm-eval run --model qharness --model_args pretrained=DIR --tasks humaneval",
    ),
    "list": ("qharness list quantizers", "qharness list presets --json"),
    "doctor": ("qharness doctor", "qharness doctor --json"),
    "cache": ("qharness cache ls", "qharness cache rm --older-than 30"),
    "new-plugin": ("qharness new-plugin mine", "qharness new-plugin my-task --kind task"),
}


def shown_examples(command: str) -> str:
    """The examples of a command as its help shows them, a line each."""
    return "\n".join(["Examples:", *(f"  {example}" for example in EXAMPLES[command])])
