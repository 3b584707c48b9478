"""A command that refuses values which no option can mean, has `-q` and `-v`, and shows its options in groups."""

from __future__ import annotations

import errno
import os
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from qharness.cli.defaults_file import defaults_of
from qharness.cli.interruption import StoppedCommand
from qharness.errors import SettingError
from qharness.progress import Verbosity, set_verbosity

OUTPUT = "Output"
_LONGEST_CHOICE = 10
_METAVARS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


def _be_quiet(chosen: bool) -> None:
    if chosen:
        set_verbosity(Verbosity.QUIET)


def _be_verbose(chosen: bool) -> None:
    if chosen:
        set_verbosity(Verbosity.VERBOSE)


Quiet = Annotated[
    bool,
    typer.Option("-q", "--quiet", metavar="", callback=_be_quiet, is_eager=True, help="Only the answer, and errors."),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "-v",
        "--verbose",
        metavar="",
        callback=_be_verbose,
        is_eager=True,
        help="Also what is loaded, and phases' times.",
    ),
]


def _shared(quiet: Quiet = False, verbose: Verbose = False) -> None: ...


@cache
def _shared_options() -> list[Any]:
    """`-q` and `-v`, as each command has them."""
    app = typer.Typer(add_completion=False)
    app.command()(_shared)
    options: list[Any] = typer.main.get_command(app).params
    for option in options:
        option.expose_value, option.rich_help_panel = False, OUTPUT
    return options


class StrictCommand(TyperCommand):
    """Takes defaults from the defaults file; checks the text of each parameter, and each path that one becomes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shared = _shared_options()
        for option in (*self.params, *self._shared):
            _narrow(option)

    def get_params(self, ctx: Any) -> list[Any]:
        """The command's own parameters, then those of every command, in the last group."""
        own: list[Any] = super().get_params(ctx)
        *params, shown = own
        shown.rich_help_panel = OUTPUT
        _narrow(shown)
        params.sort(key=lambda each: each.rich_help_panel == OUTPUT)
        return [*params, *self._shared, shown]

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an interruption becomes StoppedCommand, which says what is kept."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as cause:
            raise StoppedCommand(cause) from cause

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as every command does; raise SettingError, naming the option, for a value that is refused."""
        if ctx.resilient_parsing:  # a shell completes the line
            return super().parse_args(ctx, args)
        if not set(args) & set(ctx.help_option_names):
            ctx.default_map = self._defaults()
        texts, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in self.params:
            if "" in _several(texts.get(parameter.name or "")):
                raise SettingError(f"{_name_of(parameter)} is empty: give it a value, or leave it out")
        left = super().parse_args(ctx, args)
        for parameter in self.params:
            for value in _several(ctx.params.get(parameter.name)):
                if isinstance(value, Path) and not _may_exist(value):
                    raise SettingError(f"{_name_of(parameter)} is too long: {len(str(value))} characters")
        return left

    def _defaults(self) -> dict[str, Any]:
        found = defaults_of(self.name or "", [each.name or "" for each in self.params])
        return {name: [value] if self._is_repeatable(name) else value for name, value in found.items()}

    def _is_repeatable(self, name: str) -> bool:
        return any(each.multiple for each in self.params if each.name == name and each.param_type_name == "option")


def _narrow(parameter: Any) -> None:
    """Give an option a short word for its value, so that names are whole in 80 columns; choices go into its help."""
    if parameter.param_type_name != "option" or parameter.metavar is not None:
        return
    kind = parameter.type_descriptor
    if parameter.is_flag:
        parameter.metavar = ""
    elif kind.is_choice:
        choices = "|".join(str(getattr(each, "value", each)) for each in kind.choices)
        parameter.metavar = choices if len(choices) <= _LONGEST_CHOICE else "NAME"
        if parameter.metavar == "NAME":
            parameter.help = f"{parameter.help} ({choices})"
    else:
        parameter.metavar = _METAVARS.get(_element(kind.annotation), "TEXT")


def _element(annotation: Any) -> Any:
    """The type of one value: of `list[int]`, int."""
    return next(iter(getattr(annotation, "__args__", ())), annotation)


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _name_of(parameter: Any) -> str:
    """What a user calls it: an option by its long name, an argument in capitals."""
    return str(parameter.opts[0] if parameter.param_type_name == "option" else parameter.name.upper())


def _may_exist(path: Path) -> bool:
    try:
        os.lstat(path)
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG
    return True
