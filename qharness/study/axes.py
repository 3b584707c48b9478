"""The axes of a study's grid, a row each: lists, exclusions and combinations follow from the table."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, StringConstraints
from pydantic_core import PydanticCustomError

from qharness.bounds import BOUNDS
from qharness.specs import DEFAULT_MODEL, ModelSpec, TaskName

NONE = "none"


def bounded(name: str) -> BeforeValidator:
    """Refuses a value of a setting, whatever its type, that is out of the setting's bounds."""

    def check(value: object) -> object:
        if value is not None and (complaint := BOUNDS[name].complaint(value)):
            raise PydanticCustomError("bounds", "{complaint}", {"complaint": complaint})
        return value

    return BeforeValidator(check)


Text = Annotated[str, StringConstraints(min_length=1)]
_Seed = Annotated[int, bounded("seed")]


@dataclass(frozen=True)
class Point:
    """A combination of the axes' values. The task's name is empty where the study only measures its models."""

    model: ModelSpec
    task: TaskName


@dataclass(frozen=True)
class Axis:
    """One axis. `name`: its key in an exclusion, and with an s that of its list; `default`: its value without a list.

    `type`: of its values, for pydantic. `put` sets a value at a point and returns the new point; `value` returns a
    point's.
    """

    name: str
    type: Any
    default: object
    put: Callable[[Point, Any], Point]
    value: Callable[[Point], object]

    @property
    def list_name(self) -> str:
        """The key of its list."""
        return f"{self.name}s"

    def text(self, point: Point) -> str:
        """Return a point's value as text, which an exclusion's pattern is held against."""
        value = self.value(point)
        return NONE if value is None else str(value)


def _of_model(point: Point, **change: Any) -> Point:
    return dataclasses.replace(point, model=dataclasses.replace(point.model, **change))


def _task(point: Point, name: str) -> Point:
    return dataclasses.replace(point, task=dataclasses.replace(point.task, base=name))


def _perturbation(point: Point, spec: str) -> Point:
    chain = "" if spec == NONE else spec
    return dataclasses.replace(point, task=dataclasses.replace(point.task, perturbation=chain))


AXES = (
    Axis("model", Text, DEFAULT_MODEL, lambda at, name: _of_model(at, model=name), lambda at: at.model.model),
    Axis("quant", Text, NONE, lambda at, spec: _of_model(at, quant=spec), lambda at: at.model.quant),
    Axis("calib", Text, None, lambda at, spec: _of_model(at, calib=spec), lambda at: at.model.calib),
    Axis("task", Text, "", _task, lambda at: at.task.base),
    Axis("perturbation", Text, NONE, _perturbation, lambda at: at.task.perturbation or NONE),
    Axis("seed", _Seed, 0, lambda at, seed: _of_model(at, seed=seed), lambda at: at.model.seed),
)
"""In the order in which runs are made: those of the first axis' first value first."""
