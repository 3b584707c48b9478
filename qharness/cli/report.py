"""`qharness report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qharness.cli.output import echo
from qharness.progress import note


def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs, or that hold some, at any depth.")],
    output: Annotated[Path, typer.Option(help="Folder to write; that of an earlier report is written anew.")],
    title: Annotated[str | None, typer.Option(help="The report's heading.")] = None,
) -> None:
    """Report what runs, profiles and noise say: a page to read, the papers' tables and figures."""
    from qharness.report import PAGE, TITLE, write_report
    from qharness.report.data.collection import why_left_out

    collection = write_report(folders, output, title or TITLE)
    for folder in collection.unfinished:
        note(f"not finished, and left out: {why_left_out(folder)}")
    echo(f"report of {len(collection.runs)} runs: {output / PAGE}")
