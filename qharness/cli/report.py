"""`qharness report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from qharness.cli.defaults_file import named_run
from qharness.cli.options import OUTPUT
from qharness.cli.output import echo
from qharness.cli.verdict_text import FailUnlessHolds, MaxLossOption, exit_status, max_loss_of, print_verdicts
from qharness.errors import QHarnessError
from qharness.progress import note

_SHOWN = 3


def report(
    folders: Annotated[
        list[str],
        typer.Argument(
            help="Folders of runs, or that hold some, at any depth; ids of runs; or a study's URL, s3://..."
        ),
    ],
    output: Annotated[
        Path, typer.Option(help="Folder to write; that of an earlier report is written anew.", rich_help_panel=OUTPUT)
    ],
    title: Annotated[str | None, typer.Option(help="The report's heading.", rich_help_panel=OUTPUT)] = None,
    max_loss: MaxLossOption = None,
    fail_unless_holds: FailUnlessHolds = False,
) -> int:
    """Report what runs, profiles and noise say: the verdicts, a page to read, the papers' tables and figures."""
    margin = max_loss_of(max_loss)
    from qharness.report import PAGE, TITLE, write_report
    from qharness.report.data.collection import why_left_out

    collection, findings = write_report(_local(folders), output, title or TITLE, margin)
    verdicts = {finding.model: finding.judged for finding in findings}
    print_verdicts(verdicts)
    if not verdicts:
        echo("No verdict: no run of programs here is of a quantized model with full precision beside it.")
    for folder in collection.unfinished[:_SHOWN]:
        note(f"not finished, and left out: {why_left_out(folder)}")
    if (more := len(collection.unfinished) - _SHOWN) > 0:
        note(f"not finished, and left out: {more} folders more")
    echo(f"report of {len(collection.runs)} runs: {output / PAGE}")
    return exit_status(verdicts) if fail_unless_holds else 0


def _local(folders: Sequence[str]) -> list[Path]:
    """Return the folders, and of each URL the run folders there, downloaded. Raises QHarnessError for an empty URL."""
    from qharness.study.remote import remote_of

    found: list[Path] = []
    for folder in folders:
        remote = remote_of(folder)
        inside = remote.run_folders() if remote else [named_run(Path(folder))]
        if not inside:
            raise QHarnessError(f"{folder} holds no runs")
        found += inside
    return found
