"""`qharness compare`."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

from qharness.cli.options import Json, bounded
from qharness.cli.output import echo, echo_lines, number, print_json, print_table
from qharness.cli.run import print_comparison


def compare(
    run_a: Annotated[Path, typer.Argument(help="Folder of the run to compare with, the baseline.")],
    run_b: Annotated[Path, typer.Argument(help="Folder of the run to judge.")],
    examples: Annotated[
        int,
        bounded(
            "examples", "Of programs: problems lost, and as many won, to show; of texts: pairs. Those that differ most."
        ),
    ] = 3,
    json: Json = False,
) -> None:
    """Paired statistics of two runs of one task."""
    from qharness.stats import compare as run_compare

    document = run_compare(run_a, run_b, examples=examples).document
    if json:
        print_json(document)
        return
    print_comparison(document)
    _print_failures(document)
    _print_levels(document)
    _print_examples(document)


def _print_failures(document: dict[str, Any]) -> None:
    """How completions ended, in each run; kinds that neither has are left out."""
    if "failures" not in document:
        return
    a, b, lost = (document["failures"][name] for name in ("a", "b", "lost_pairs"))
    print_table(
        ("completions, by how they ended", "a", "b", "b, where a passed"),
        [(kind, str(a[kind]), str(b[kind]), str(lost[kind])) for kind in a if a[kind] or b[kind]],
    )


def _print_levels(document: dict[str, Any]) -> None:
    if "levels" not in document:
        return
    print_table(
        ("pass@1, by level", "problems", "a", "b", "pairs lost / won"),
        [
            (
                level,
                str(of["n_problems"]),
                number(of["a"], ".4f"),
                number(of["b"], ".4f"),
                f"{of['lost_pairs']} / {of['won_pairs']}",
            )
            for level, of in document["levels"].items()
        ],
    )


def _print_examples(document: dict[str, Any]) -> None:
    show = _print_texts if "metric" in document else _print_programs
    for each in document.get("examples", []):
        show(each, document.get("metric", "pass@1"))


def _print_programs(example: dict[str, Any], metric: str) -> None:
    """A problem lost or won, and what the two runs wrote at one try, side by side."""
    verdicts = []
    for side in ("a", "b"):
        found = example[side]
        why = f": {found['detail']}" if found["detail"] else ""
        verdicts.append(
            f"{side}, {metric} {number(found[metric], '.2f')}, sample {found['sample']}\n{found['status']}{why}"
        )
    echo(str(example["task_id"] or example["doc_id"]))
    print_table(verdicts, [[example[side]["completion"].strip("\n") for side in ("a", "b")]])


def _print_texts(example: dict[str, Any], metric: str) -> None:
    """What two runs wrote of the same document, as in table X of Wei et al. 2023."""
    echo_lines(f"{example['task_id'] or example['doc_id']}\n{textwrap.indent(str(example['prompt']).rstrip(), '    ')}")
    echo_lines(f"  reference: {example['reference']}")
    for side in ("a", "b"):
        score = number(example[side][metric], ".2f")
        echo_lines(f"  {side}: {example[side]['completion'].strip()}  ({metric} {score})")
    echo()
