"""`qharness compare`."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

from qharness.cli.options import Json
from qharness.cli.output import number, print_json
from qharness.cli.run import print_comparison


def compare(
    run_a: Annotated[Path, typer.Argument(help="Folder of the run to compare with, the baseline.")],
    run_b: Annotated[Path, typer.Argument(help="Folder of the run to judge.")],
    examples: Annotated[
        int, typer.Option(min=0, help="Pairs of texts to show, those whose scores differ most; of runs of texts.")
    ] = 3,
    json: Json = False,
) -> None:
    """Paired statistics of two runs of one task."""
    from qharness.stats import compare as run_compare

    comparison = run_compare(run_a, run_b, examples=examples)
    if json:
        print_json(comparison.document)
    else:
        print_comparison(comparison.document)
        _print_examples(comparison.document)


def _print_examples(document: dict[str, Any]) -> None:
    """What two runs of texts wrote of the same document, as in table X of Wei et al. 2023."""
    for each in document.get("examples", []):
        typer.echo(f"{each['task_id'] or each['doc_id']}\n{textwrap.indent(str(each['prompt']).rstrip(), '    ')}")
        typer.echo(f"  reference: {each['reference']}")
        for side in ("a", "b"):
            score = number(each[side][document["metric"]], ".2f")
            typer.echo(f"  {side}: {each[side]['completion'].strip()}  ({document['metric']} {score})")
        typer.echo()
