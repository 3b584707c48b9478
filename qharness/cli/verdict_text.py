"""The verdict on the command line: its options, the first lines of the output, and the exit status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from qharness.cli.options import VERDICT
from qharness.cli.output import echo
from qharness.specs import MaxLoss

if TYPE_CHECKING:
    from qharness.results import RunResult
    from qharness.stats.candidates import JudgedCandidate

MaxLossOption = Annotated[
    str | None,
    typer.Option(
        help="The loss of pass@1 that you can bear: POINTS, or PERCENT% of full precision's.",
        metavar="POINTS|PERCENT%",
        show_default="2",
        rich_help_panel=VERDICT,
    ),
]
FailUnlessHolds = Annotated[
    bool,
    typer.Option(
        "--fail-unless-holds",
        help="Exit with status 3 unless a model is shown to lose no more.",
        rich_help_panel=VERDICT,
    ),
]
Full = Annotated[
    bool, typer.Option("--full", help="Also pooled p-values, ranks and odds ratios.", rich_help_panel=VERDICT)
]

DOES_NOT_HOLD = 3
"""The exit status of --fail-unless-holds."""


def max_loss_of(text: str | None) -> MaxLoss:
    """The margin that an option names. Raises SettingError for what is none."""
    return MaxLoss() if text is None else MaxLoss.of(text)


def judge_results(results: Sequence[RunResult], margin: MaxLoss) -> Mapping[str, Sequence[JudgedCandidate]]:
    """The verdicts on the quantized models of these runs, by their model in full precision; judged together."""
    from qharness.stats.judged_runs import ComparedRun, judge_models

    return judge_models([ComparedRun.of(result) for result in results], margin)


def print_verdicts(verdicts: Mapping[str, Sequence[JudgedCandidate]]) -> None:
    """Print a line for each model: the smallest candidate that holds, and the others. Nothing without comparisons."""
    from qharness.stats.verdict_sentences import group_sentence

    for model, judged in verdicts.items():
        echo(f"{model}: {group_sentence(judged)}" if len(verdicts) > 1 else group_sentence(judged))


def exit_status(verdicts: Mapping[str, Sequence[JudgedCandidate]]) -> int:
    """0 where each model has a candidate that holds, else 3."""
    from qharness.results import VerdictClass

    holds = [any(each.class_ is VerdictClass.HOLDS for each in judged) for judged in verdicts.values()]
    return 0 if holds and all(holds) else DOES_NOT_HOLD
