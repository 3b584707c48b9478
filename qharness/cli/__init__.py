"""The command line. Each command is a module; this one joins them and turns mistakes into one line and exit code 2."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from qharness.cli import (
    cache,
    choose,
    compare,
    doctor,
    export,
    footprint,
    listing,
    lm_eval,
    new_plugin,
    noise,
    perturb,
    profile,
    quantize,
    report,
    run,
    runs,
    score,
    setup,
    study,
)
from qharness.cli.output import echo
from qharness.cli.served_study import StudyCommand
from qharness.cli.strict_command import StrictCommand
from qharness.errors import QHarnessError
from qharness.progress import note
from qharness.registry import own_version
from qharness.storage.disk_errors import as_disk_error

app = typer.Typer(
    name="qharness",
    help="What does quantizing this code model cost me, and what does it save me?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(shown: bool) -> None:
    if shown:
        echo(f"qharness {own_version()}")
        raise typer.Exit


@app.callback(help=app.info.help)
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show qharness's version and end.")
    ] = False,
) -> None: ...


for command in (
    run.run,
    quantize.quantize,
    score.score,
    export.export,
    compare.compare,
    report.report,
    runs.runs,
    footprint.footprint,
    profile.profile,
    noise.noise,
    perturb.perturb,
    doctor.doctor,
    setup.setup,
    cache.cache,
):
    app.command(command.__name__, cls=StrictCommand, help=command.__doc__)(command)
app.command("choose", cls=choose.ChooseCommand, help=choose.choose.__doc__)(choose.choose)
app.command("study", cls=StudyCommand, help=study.study.__doc__)(study.study)
app.command("list", cls=StrictCommand, help=listing.list_.__doc__)(listing.list_)
app.command("new-plugin", cls=StrictCommand, help=new_plugin.new_plugin.__doc__)(new_plugin.new_plugin)
app.command(
    "lm-eval",
    help=lm_eval.lm_eval.__doc__,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)(lm_eval.lm_eval)


def main() -> None:
    """Entry point. Exit code 0: done; 2: a mistake of the user's, in one line on standard error; 1: anything else."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a completion may hold what no encoding has: a lone surrogate
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except (QHarnessError, typer.TyperException) as error:
        text = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        if text:  # without a command, help has been shown and there is nothing to say
            _complain(text)
        sys.exit(2)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:  # a library may wrap what the system said
        told = as_disk_error(error)
        if told is None:
            raise
        _complain(str(told))
        _drop_output()
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(text: str) -> None:
    note(f"qharness: {' '.join(text.split())}")


def _drop_output() -> None:
    """Where standard output is what cannot be written, have Python not try that again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
