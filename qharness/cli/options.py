"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
DataDir = Annotated[
    Path | None,
    typer.Option(envvar="QHARNESS_DATA_DIR", help="Local mirror of the benchmarks' data; nothing is fetched then."),
]
AllowUnsandboxed = Annotated[
    bool, typer.Option("--allow-unsandboxed", help="Run generated programs unprotected where no sandbox works.")
]
