"""`qharness export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from qharness.cli.defaults_file import named_run
from qharness.cli.options import OUTPUT, DataDir
from qharness.cli.output import echo, registry
from qharness.evaluate.interchange.sample_formats import FORMATS

_FOLDERS = " and ".join(each.name for each in FORMATS if each.many_files)
if TYPE_CHECKING:
    FormatName = str
else:
    FormatName = Literal[tuple(each.name for each in FORMATS)]


def export(
    run: Annotated[Path, typer.Argument(help="A run's folder, its id, or last.")],
    format: Annotated[FormatName, typer.Option(help="Whose format.")],  # noqa: A002
    output: Annotated[Path, typer.Option(help=f"A file; for {_FOLDERS} a new folder.", rich_help_panel=OUTPUT)],
    data_dir: DataDir = None,
) -> None:
    """Write a run's completions as other harnesses keep theirs; `score --samples` reads them all."""
    registry()
    from qharness.evaluate.interchange.sample_export import export as write

    count = write(named_run(run), format, output, data_dir=data_dir)
    echo(f"{count} samples: {output}")
