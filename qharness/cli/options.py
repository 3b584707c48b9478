"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from qharness.bounds import check_setting
from qharness.study.trackers import TRACKERS, TrackerName


def bounded(name: str, help: str) -> Any:  # noqa: A002
    """The option of a numeric setting, which refuses what the table of bounds refuses."""

    def check(value: Any) -> Any:
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                check_setting(name, each, f"--{name.replace('_', '-')}")
        return value

    return typer.Option(callback=check, help=help)


Track = Annotated[
    TrackerName | None, typer.Option(help="Log finished runs to this experiment tracker, which must be installed.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
DataDir = Annotated[
    Path | None,
    typer.Option(envvar="QHARNESS_DATA_DIR", help="Local mirror of the benchmarks' data; nothing is fetched then."),
]
AllowUnsandboxed = Annotated[
    bool, typer.Option("--allow-unsandboxed", help="Run generated programs unprotected where no sandbox works.")
]
AllowUntouched = Annotated[
    bool,
    typer.Option(
        "--allow-untouched", help="Go on where a quantizer leaves more than half of the blocks in full precision."
    ),
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run the Python code that a checkpoint brings.")
]
Model = Annotated[
    str | None,
    typer.Option(help="Hugging Face id, preset, local folder, GGUF file, or tinycoder, bundled and the default."),
]
Calib = Annotated[str | None, typer.Option(help="Calibration set, for quantizers that need one.")]
Temperature = Annotated[float | None, bounded("temperature", "0 is greedy.")]
TopP = Annotated[float | None, bounded("top_p", "Nucleus sampling.")]
MaxNewTokens = Annotated[int | None, bounded("max_new_tokens", "Most tokens a completion.")]
Limit = Annotated[int | None, bounded("limit", "The first N problems only.")]
Chat = Annotated[bool, typer.Option("--chat/--no-chat", help="Ask through the tokenizer's chat template.")]
System = Annotated[str | None, typer.Option(help="With --chat: the system's turn.")]
NoThink = Annotated[bool, typer.Option("--no-think", help="With --chat: the template's switch for thinking is off.")]
RunFolders = Annotated[Path, typer.Option(help="Folder of run folders.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the model runs.")]
RunDType = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(help="Of the weights; auto: float32 on a CPU, the checkpoint's own on a GPU."),
]
DType = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(help="Of what is not integers; auto: the model's own."),
]


def check_tracker(name: str | None) -> None:
    """Raise MissingDependencyError where the tracker of that name, if any, is not installed."""
    if name is not None:
        TRACKERS[name].check()
