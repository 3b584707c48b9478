"""A command that refuses values which no option can mean: empty ones, and paths too long for any file."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from qharness.cli.defaults_file import defaults_of
from qharness.errors import SettingError


class StrictCommand(TyperCommand):
    """Takes defaults from the defaults file; checks the text of each parameter, and each path that one becomes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as every command does; raise SettingError, naming the option, for a value that is refused."""
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
