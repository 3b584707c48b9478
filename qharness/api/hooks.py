"""The five hooks of a plugin. Each takes no arguments; the host chains the results of all plugins.

A plugin is a module, named in entry-point group `qharness`, whose functions carry the mark:

    from qharness import hookimpl

    @hookimpl
    def qharness_quantizers():
        return [MyQuantizer]

Every class returned is a frozen dataclass with a class variable `name`. Its fields are the options of its spec string,
and `qharness list` shows the first line of its docstring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any

import pluggy

from qharness.api.calibration_sets import CalibrationSet
from qharness.api.languages import Language
from qharness.api.perturbations import Perturbation
from qharness.api.quantizers import Quantizer
from qharness.api.tasks import TaskFamily, TaskSource
from qharness.bounds import OptionRange
from qharness.spec import check_options

PROJECT = "qharness"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""The mark of a plugin's function that implements the hook of its name."""


def option(
    default: Any,
    help: str,  # noqa: A002
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    choices: Sequence[object] = (),
) -> Any:
    """Declare a field of a plugin's dataclass: an option of its spec string, with the line that documents it.

    The host refuses a spec string whose value is not in the range from `least`, or above `above`, to `most`, or not one
    of `choices`. It never refuses None. A class that derives from CheckedOptions refuses it in Python too.
    """
    return field(default=default, metadata={"help": help, "range": OptionRange(least, above, most, choices)})


class CheckedOptions:
    """Makes a plugin's dataclass raise SpecError, however it is made, for an option out of its range."""

    def __post_init__(self) -> None:
        check_options(self)


@hookspec
def qharness_quantizers() -> Sequence[type[Quantizer]]:  # type: ignore[empty-body]
    """Return methods that make a model smaller: `--quant NAME`."""


@hookspec
def qharness_calibration_sets() -> Sequence[type[CalibrationSet]]:  # type: ignore[empty-body]
    """Return sources of text to calibrate on: `--calib NAME`."""


@hookspec
def qharness_perturbations() -> Sequence[type[Perturbation]]:  # type: ignore[empty-body]
    """Return changes to the natural language of prompts: `--perturb NAME`, `--task TASK@NAME`."""


@hookspec
def qharness_tasks() -> Sequence[TaskSource | TaskFamily]:  # type: ignore[empty-body]
    """Return folders of lm-eval YAMLs, `--task NAME`, and families of another harness's tasks, `--task NAME:TASK`."""


@hookspec
def qharness_languages() -> Sequence[type[Language]]:  # type: ignore[empty-body]
    """Return languages of generated programs, which the `language` field of a task's documents names."""
