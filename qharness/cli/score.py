"""`qharness score`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qharness.cli.completion import complete_task
from qharness.cli.defaults_file import runs_folder
from qharness.cli.options import OUTPUT, SAMPLING, TASK, AllowUnsandboxed, DataDir, Json, LanguageSpec
from qharness.cli.output import number, print_json, print_table, registry
from qharness.errors import QHarnessError
from qharness.evaluate.run.run_folder import SAMPLES
from qharness.evaluate.run.run_listing import find_named_run
from qharness.metrics.shown_figures import score as score_text
from qharness.progress import kept_when_stopped

if TYPE_CHECKING:
    from qharness.results import ScoreResult


def score(
    task: Annotated[
        str, typer.Option(help="The task whose tests are run.", rich_help_panel=TASK, autocompletion=complete_task)
    ],
    samples: Annotated[
        Path,
        typer.Option(
            help='JSON lines {"task_id", "completion"}, or what EvalPlus, MultiPL-E or lm-eval wrote; or a run.',
            rich_help_panel=SAMPLING,
        ),
    ],
    chat: Annotated[
        bool,
        typer.Option(
            "--chat", help="The texts are a chat model's answers: take the code out of them.", rich_help_panel=TASK
        ),
    ] = False,
    data_dir: DataDir = None,
    output: Annotated[
        Path | None, typer.Option(help="Write the lines with status, passed and seconds here.", rich_help_panel=OUTPUT)
    ] = None,
    language: LanguageSpec = None,
    allow_unsandboxed: AllowUnsandboxed = False,
    json: Json = False,
) -> None:
    """Run saved completions against a task's tests and report pass@k.

    Completions run as they are; only the responses in lm-eval's logs are cut, as the task cuts them. With --chat, in
    samples.jsonl of a run with --chat and in lm-eval's log of a chat they are answers, and the program in each is run.
    """
    registry()
    from qharness.evaluate.interchange.scoring import score as run_score
    from qharness.storage.atomic_writer import write_lines

    if output is not None and not output.absolute().parent.is_dir():
        raise QHarnessError(f"--output {output}: there is no folder {output.absolute().parent}")
    found = find_named_run(samples, runs_folder())
    source = found / SAMPLES if found else samples
    with kept_when_stopped(lambda: "verdicts of the programs that have ended are cached"):
        result = run_score(
            task, source, data_dir=data_dir, allow_unsandboxed=allow_unsandboxed, chat=chat, language=language
        )
    if json:
        print_json(result.document)
    else:
        print_summary(task, result)
    if output is not None:  # last: a disk that is full loses no figure
        write_lines(output, result.samples)


def print_summary(task: str, result: ScoreResult) -> None:
    """pass@k and how many programs ended in which way."""
    report = result.report
    rates = [(name, score_text(name, value)) for name, value in report.rates.items()]
    counts = [(status, str(count)) for status, count in report.status.items()]
    problems = [("problems, samples", f"{report.n_problems}, {report.n_samples}")]
    print_table(("", task), [*rates, *problems, *counts, ("seconds", number(report.seconds, ".1f"))])
