"""The command line. Each command is a module; this one joins them and turns mistakes into one line and exit code 2."""

from __future__ import annotations

import functools
import gc
import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Annotated

import typer
from typer.core import TyperCommand

from qharness.cli.busy_cores import spare_busy_cores  # isort: skip  (first: it looks how busy the machine is meanwhile)
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
from qharness.cli.examples import shown_examples
from qharness.cli.interruption import StoppedCommand, sigterm_interrupts
from qharness.cli.output import echo
from qharness.cli.served_study import StudyCommand
from qharness.cli.strict_command import Quiet, StrictCommand, Verbose
from qharness.errors import QHarnessError
from qharness.progress import complain, verbosity_restored
from qharness.registry import own_version
from qharness.storage.disk_errors import as_disk_error

app = typer.Typer(
    name="qharness",
    help="What does quantizing this code model cost me, and what does it save me?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(shown: bool) -> None:
    if shown:
        echo(f"qharness {own_version()}")
        raise typer.Exit


@app.callback(help=app.info.help)
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_show_version, is_eager=True, help="Show qharness's version and end."
        ),
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None: ...


_COMMANDS: Mapping[str, Sequence[Callable[..., object]]] = {
    "May I ship it?": (choose.choose, run.run, compare.compare, study.study, report.report, runs.runs),
    "What does it cost?": (profile.profile, footprint.footprint, noise.noise),
    "Models and completions": (quantize.quantize, score.score, export.export, perturb.perturb, lm_eval.lm_eval),
    "What is there?": (listing.list_, doctor.doctor, setup.setup, cache.cache, new_plugin.new_plugin),
}
_CLASSES: Mapping[str, type[TyperCommand]] = {
    "choose": choose.ChooseCommand,
    "study": StudyCommand,
    "lm-eval": TyperCommand,
}
_OBJECTS_BETWEEN_COLLECTIONS = 10_000
"""Python's own is 700, and the imports of torch, transformers and lm-eval make a million, for good."""
_LM_EVAL = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

for panel, functions in _COMMANDS.items():
    for function in functions:
        name = function.__name__.rstrip("_").replace("_", "-")
        app.command(
            name,
            cls=_CLASSES.get(name, StrictCommand),
            help=function.__doc__,
            epilog=shown_examples(name),
            rich_help_panel=panel,
            context_settings=_LM_EVAL if name == "lm-eval" else None,
        )(function)


def main() -> None:
    """Entry point. Exit code 0: done; 2: a mistake of the user's, in one line on standard error; 1: anything else.

    130 and 143: stopped by Ctrl-C or SIGTERM; the last line says what is kept.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a completion may hold what no encoding has: a lone surrogate
            stream.reconfigure(errors="backslashreplace")
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 10, 10)
    with sigterm_interrupts(), verbosity_restored():
        status = _status()
        gc.freeze()  # the interpreter would look through all objects as it ends, for a second
        sys.exit(status)


def _status() -> int:
    """Run the command and return the exit status; an error is the last line on standard error."""
    spare_busy_cores()
    try:
        code = _command()(prog_name="qharness", standalone_mode=False)
        sys.stdout.flush()
    except (QHarnessError, typer.TyperException) as error:
        text = error.format_message() if isinstance(error, typer.TyperException) else str(error)
        if text:  # without a command, help has been shown and there is nothing to say
            _complain(text)
        return 2
    except StoppedCommand as stopped:
        _complain(stopped.line)
        return stopped.status
    except typer.Abort:
        return 130
    except Exception as error:  # a library may wrap what the system said
        told = as_disk_error(error)
        if told is None:
            raise
        _complain(str(told))
        _drop_output()
        return 2
    return code if isinstance(code, int) else 0


@functools.cache
def _command() -> Callable[..., object]:
    """What was declared of all commands, as objects: a tenth of a second of the processor to make."""
    return typer.main.get_command(app)


def _complain(text: str) -> None:
    complain(f"qharness: {' '.join(text.split())}")


def _drop_output() -> None:
    """Where standard output is what cannot be written, have Python not try that again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
