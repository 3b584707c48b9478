"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from qharness.bounds import check_setting
from qharness.cli.completion import complete_calibration_set, complete_model, complete_quantizer
from qharness.cli.strict_command import OUTPUT as OUTPUT
from qharness.registry import get_registry
from qharness.study.trackers import TRACKERS, TrackerName

MODEL = "Model"
TASK = "Task"
SAMPLING = "Sampling"
VERDICT = "Verdict"
SANDBOX = "Sandbox"
MEASUREMENT = "Measurement"
STUDY = "Study"
"""The groups of options in `--help`, with OUTPUT."""


def bounded(name: str, help: str, panel: str | None = None) -> Any:  # noqa: A002
    """The option of a numeric setting, which refuses what the table of bounds refuses."""

    def check(value: Any) -> Any:
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                check_setting(name, each, f"--{name.replace('_', '-')}")
        return value

    return typer.Option(callback=check, help=help, rich_help_panel=panel)


def check_language(spec: str | None) -> str | None:
    """Refuse a language that there is not, and options that it does not have."""
    if spec is not None:
        get_registry().configured_language(spec)
    return spec


Track = Annotated[
    TrackerName | None,
    typer.Option(help="Log finished runs to this experiment tracker, which must be installed.", rich_help_panel=OUTPUT),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output.", rich_help_panel=OUTPUT)
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        envvar="QHARNESS_DATA_DIR",
        help="Local mirror of the benchmarks' data; nothing is fetched then.",
        rich_help_panel=TASK,
    ),
]
LanguageSpec = Annotated[
    str | None,
    typer.Option(
        "--language",
        help="Options of the language that programs are in, as cpp:sanitize=both.",
        rich_help_panel=SANDBOX,
        callback=check_language,
    ),
]
AllowUnsandboxed = Annotated[
    bool,
    typer.Option(
        "--allow-unsandboxed",
        help="Run generated programs unprotected where no sandbox works.",
        rich_help_panel=SANDBOX,
    ),
]
AllowUntouched = Annotated[
    bool,
    typer.Option(
        "--allow-untouched",
        help="Go on where a quantizer leaves more than half of the blocks in full precision.",
        rich_help_panel=MODEL,
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option("--trust-remote-code", help="Run the Python code that a checkpoint brings.", rich_help_panel=MODEL),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="Hugging Face id, preset, local folder, GGUF file, or tinycoder, bundled and the default.",
        rich_help_panel=MODEL,
        autocompletion=complete_model,
    ),
]
Quant = Annotated[
    str,
    typer.Option(
        help="Quantizer, as NAME[:OPTIONS]; none is full precision.",
        rich_help_panel=MODEL,
        autocompletion=complete_quantizer,
    ),
]
Calib = Annotated[
    str | None,
    typer.Option(
        help="Calibration set, for quantizers that need one.",
        rich_help_panel=MODEL,
        autocompletion=complete_calibration_set,
    ),
]
Temperature = Annotated[float | None, bounded("temperature", "0 is greedy.", SAMPLING)]
TopP = Annotated[float | None, bounded("top_p", "Nucleus sampling.", SAMPLING)]
MaxNewTokens = Annotated[int | None, bounded("max_new_tokens", "Most tokens a completion.", SAMPLING)]
Limit = Annotated[int | None, bounded("limit", "The first N problems only.", TASK)]
Chat = Annotated[
    bool, typer.Option("--chat/--no-chat", help="Ask through the tokenizer's chat template.", rich_help_panel=TASK)
]
System = Annotated[str | None, typer.Option(help="With --chat: the system's turn.", rich_help_panel=TASK)]
NoThink = Annotated[
    bool,
    typer.Option("--no-think", help="With --chat: the template's switch for thinking is off.", rich_help_panel=TASK),
]
RunFolders = Annotated[Path, typer.Option(help="Folder of run folders.", rich_help_panel=OUTPUT)]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the model runs.", rich_help_panel=MODEL)]
RunDType = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(help="Of the weights; auto: float32 on a CPU, the checkpoint's own on a GPU.", rich_help_panel=MODEL),
]
DType = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(help="Of what is not integers; auto: the model's own.", rich_help_panel=MODEL),
]


def check_tracker(name: str | None) -> None:
    """Raise MissingDependencyError where the tracker of that name, if any, is not installed."""
    if name is not None:
        TRACKERS[name].check()
