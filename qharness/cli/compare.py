"""`qharness compare`."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qharness.cli.comparison_text import print_comparison, print_extents
from qharness.cli.defaults_file import named_run
from qharness.cli.options import OUTPUT, Json, bounded
from qharness.cli.output import echo, echo_lines, number, print_json, print_table, score
from qharness.cli.verdict_text import FailUnlessHolds, Full, MaxLossOption, exit_status, max_loss_of, print_verdicts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qharness.results.paired_results import Example, Failures, LevelComparison, ShownProgram


def compare(
    run_a: Annotated[Path, typer.Argument(help="The run to compare with, the baseline: its folder, id, or last.")],
    run_b: Annotated[Path, typer.Argument(help="The run to judge.")],
    examples: Annotated[
        int,
        bounded(
            "examples",
            "Of programs: problems lost, and as many won, to show; of texts: pairs. Those that differ most.",
            OUTPUT,
        ),
    ] = 3,
    max_loss: MaxLossOption = None,
    fail_unless_holds: FailUnlessHolds = False,
    full: Full = False,
    json: Json = False,
) -> int:
    """Say whether a run loses more against another than you can bear, and what differs."""
    margin = max_loss_of(max_loss)
    from qharness.stats import compare as run_compare
    from qharness.stats.judged_runs import judge_pair, verdict_of

    comparison = run_compare(named_run(run_a), named_run(run_b), examples=examples)
    judged = judge_pair(comparison, margin)
    status = exit_status({"": [judged]}) if fail_unless_holds else 0
    if json:
        verdict = verdict_of(judged)
        print_json({**comparison.document, **({"verdict": verdict.document} if verdict else {})})
        return status
    print_extents(comparison)
    print_verdicts({"": [judged]})
    print_comparison(comparison, full)
    if comparison.failures:
        _print_failures(comparison.failures)
    if comparison.levels:
        _print_levels(comparison.main_metric, comparison.levels)
    for example in comparison.examples or ():
        _print_example(example)
    return status


def _print_failures(failures: Failures) -> None:
    """How completions ended, in each run; kinds that neither has are left out."""
    a, b = failures.a, failures.b
    print_table(
        ("completions, by how they ended", "a", "b", "b, where a passed"),
        [(kind, str(a[kind]), str(b[kind]), str(failures.lost_pairs[kind])) for kind in a if a[kind] or b[kind]],
    )


def _print_levels(metric: str, levels: Mapping[str, LevelComparison]) -> None:
    """Print both runs' pass rates, and the pairs lost and won, for each level of difficulty."""
    print_table(
        (f"{metric}, by level", "problems", "a", "b", "pairs lost / won"),
        [
            (
                level,
                str(of.n_problems),
                score(metric, of.a),
                score(metric, of.b),
                f"{of.lost_pairs} / {of.won_pairs}",
            )
            for level, of in levels.items()
        ],
    )


def _print_example(example: Example) -> None:
    """Print one problem with a completion of each run: programs side by side, texts one below the other."""
    from qharness.results.paired_results import ShownProgram

    a, b = example.a, example.b
    if isinstance(a, ShownProgram) and isinstance(b, ShownProgram):
        echo(str(example.task_id or example.doc_id))
        verdicts = [_verdict(side, shown) for side, shown in (("a", a), ("b", b))]
        print_table(verdicts, [[shown.completion.strip("\n") for shown in (a, b)]])
        return
    # Two texts of one document, as in table X of Wei et al. 2023.
    echo_lines(f"{example.task_id or example.doc_id}\n{textwrap.indent(str(example.prompt).rstrip(), '    ')}")
    echo_lines(f"  reference: {example.reference}")
    for side, shown in (("a", a), ("b", b)):
        ((metric, value),) = shown.score.items()
        echo_lines(f"  {side}: {shown.completion.strip()}  ({metric} {number(value, '.2f')})")
    echo()


def _verdict(side: str, shown: ShownProgram) -> str:
    ((metric, rate),) = shown.score.items()
    detail = f": {shown.detail}" if shown.detail else ""
    return f"{side}, {metric} {score(metric, rate)}, sample {shown.sample}\n{shown.status}{detail}"
