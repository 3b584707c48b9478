"""`qharness export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from qharness.cli.options import DataDir
from qharness.cli.output import echo, registry


def export(
    run: Annotated[Path, typer.Argument(help="A run's folder.")],
    format: Annotated[  # noqa: A002
        Literal["human-eval", "evalplus", "multipl-e", "lm-eval"], typer.Option(help="Whose format.")
    ],
    output: Annotated[Path, typer.Option(help="A file; for multipl-e and lm-eval a new folder.")],
    data_dir: DataDir = None,
) -> None:
    """Write a run's completions as other harnesses keep theirs; `score --samples` reads them all."""
    registry()
    from qharness.evaluate.interchange.sample_export import export as write

    count = write(run, format, output, data_dir=data_dir)
    echo(f"{count} samples: {output}")
