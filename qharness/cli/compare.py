"""`qharness compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qharness.cli.options import Json
from qharness.cli.output import print_json
from qharness.cli.run import print_comparison


def compare(
    run_a: Annotated[Path, typer.Argument(help="Folder of the run to compare with, the baseline.")],
    run_b: Annotated[Path, typer.Argument(help="Folder of the run to judge.")],
    json: Json = False,
) -> None:
    """Paired statistics of two runs of one task."""
    from qharness.stats import compare as run_compare

    comparison = run_compare(run_a, run_b)
    if json:
        print_json(comparison.document)
    else:
        print_comparison(comparison.document)
