"""The defaults file: values of options that are the same for each command of a project."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from qharness.errors import QHarnessError, SettingError
from qharness.evaluate.run.run_listing import find_run
from qharness.specs import DEFAULT_MODEL, MaxLoss
from qharness.storage.json_reader import read_text, read_toml

OWN = "qharness.toml"
SHARED = "pyproject.toml"
TABLE = "tool.qharness"
_MARGIN_FORM = 'must be points, as 2, or percent, as "5%"'
RUNS = Path("runs")
"""Where run folders are if nothing else is said."""
_TAKE_RUN_FOLDERS = frozenset({"run", "choose", "study"})
"""The commands whose --output is a folder of run folders, and not of something else."""


def _margin(text: str | float) -> str | float:
    try:
        MaxLoss.of(str(text))
    except SettingError as error:
        raise ValueError(str(error).removeprefix("--max-loss ")) from None
    return text


Text = Annotated[str, Field(min_length=1)]


class Defaults(BaseModel):
    """The values in a defaults file, by the name of their option; None for one that it lacks."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=True, loc_by_alias=False, protected_namespaces=()
    )  # fmt: skip
    model: Text | None = None
    data_dir: Text | None = None
    device: Literal["auto", "cpu", "cuda"] | None = None
    max_loss: Annotated[str | float, AfterValidator(_margin)] | None = None
    output: Text | None = None

    def given(self) -> dict[str, str]:
        """The values that the file has, as a user would type them, by parameter."""
        return {name: f"{value:g}" if isinstance(value, float) else str(value) for name, value in self if value}


@dataclass(frozen=True)
class DefaultsFile:
    """A defaults file that was found. `table`: where in the file its values stand; empty for the whole file."""

    path: Path
    table: str = ""

    def read(self) -> Defaults:
        """Read it. Paths that are relative to the file's folder become relative to the working directory.

        Raises SettingError, in one line that names file and key, for an unknown key or a value that no option takes.
        """
        document: object = read_toml(self.path, SettingError)
        for name in filter(None, self.table.split(".")):
            document = document.get(name, {}) if isinstance(document, dict) else {}
        try:
            found = Defaults.model_validate(document)
        except ValidationError as error:
            raise SettingError(f"{self.path}: {self._complaint(error)}") from None
        folder = self.path.parent
        return found.model_copy(
            update={
                "model": found.model and _beside(folder, found.model, must_exist=True),
                "data_dir": found.data_dir and _beside(folder, found.data_dir),
                "output": found.output and _beside(folder, found.output),
            }
        )

    def _complaint(self, error: ValidationError) -> str:
        first = error.errors()[0]
        key = str(first["loc"][0]).replace("_", "-") if first["loc"] else ""
        place = ".".join(filter(None, (self.table, key)))
        if first["type"] == "extra_forbidden":
            known = ", ".join(name.replace("_", "-") for name in Defaults.model_fields)
            return f"{place} is no key of a defaults file; known: {known}"
        if key == "max-loss":
            said = first["msg"].removeprefix("Value error, ") if first["type"] == "value_error" else ""
            return f"{place} {said or _MARGIN_FORM}"
        return f"{place or 'it'}: {first['msg']}, not {first['input']!r}"


def find_defaults_file() -> DefaultsFile | None:
    """The defaults file of the working directory, or of the nearest folder above it that has one.

    In each folder qharness.toml goes first, then a pyproject.toml with a table tool.qharness. One file counts alone.
    """
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return None
    for folder in (here, *here.parents):
        if _is_file(folder / OWN):
            return DefaultsFile(folder / OWN)
        if _is_file(folder / SHARED) and _has_table(folder / SHARED):
            return DefaultsFile(folder / SHARED, TABLE)
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that does not let us look
        return False


def _has_table(path: Path) -> bool:
    """Whether a pyproject.toml has our table; one that does not name us is not parsed, and may be damaged."""
    try:
        if "qharness" not in read_text(path, SettingError):
            return False
    except QHarnessError:
        return False
    tool = read_toml(path, SettingError).get("tool")
    return isinstance(tool, dict) and "qharness" in tool


def _beside(folder: Path, text: str, *, must_exist: bool = False) -> str:
    """A path in a file of this folder, as one types it in the working directory; another model's name stays."""
    path = Path(text).expanduser()
    if path.is_absolute() or folder == Path.cwd() or (must_exist and not (folder / path).exists()):
        return text
    return text if must_exist and text == DEFAULT_MODEL else os.path.relpath(folder / path)


def read_defaults() -> Defaults:
    """The values of the defaults file; none where there is none."""
    file = find_defaults_file()
    return file.read() if file else Defaults()


def defaults_of(command: str, parameters: Iterable[str]) -> dict[str, str]:
    """The values of a command's parameters, by name; no file is read for a command that has none of them."""
    wanted = set(parameters) & set(Defaults.model_fields)
    if command not in _TAKE_RUN_FOLDERS:
        wanted.discard("output")
    return {name: value for name, value in read_defaults().given().items() if name in wanted} if wanted else {}


def named_run(name: Path) -> Path:
    """The folder of the run that a user names, of commands that have no option for the folder of run folders."""
    return find_run(name, runs_folder())


def runs_folder() -> Path:
    """The folder of run folders, for commands that have no option for it."""
    output = read_defaults().output
    return Path(output) if output else RUNS
