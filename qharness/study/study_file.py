"""A study's file: lists whose combinations are runs, with what is added and what is left out."""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from qharness.bounds import BOUNDS
from qharness.errors import StudyError
from qharness.quantization.calibration import definite_set
from qharness.registry import get_registry
from qharness.spec import unbind
from qharness.specs import DEFAULT_MODEL, RunSpec
from qharness.storage.json_reader import read_toml
from qharness.study.jobs import OF_THE_MODEL

NO_PERTURBATION = "none"


def _bounded(name: str) -> BeforeValidator:
    """Refuses what the table of bounds refuses of a setting, whatever its type."""

    def check(value: object) -> object:
        if value is not None and (complaint := BOUNDS[name].complaint(value)):
            raise PydanticCustomError("bounds", "{complaint}", {"complaint": complaint})
        return value

    return BeforeValidator(check)


_Text = Annotated[str, StringConstraints(min_length=1)]
_Seed = Annotated[int, _bounded("seed")]


class _Table(BaseModel):
    """A table of the file. A key may be spelt as the option of the command line is, with dashes."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=True,
        loc_by_alias=False,
    )


class Lists(_Table):
    """The axes of a grid. One that an `include` leaves out is the study's own."""

    models: list[_Text] | None = Field(default=None, min_length=1)
    quants: list[_Text] | None = Field(default=None, min_length=1)
    calibs: list[_Text] | None = Field(default=None, min_length=1)
    perturbations: list[_Text] | None = Field(default=None, min_length=1)
    tasks: list[_Text] | None = Field(default=None, min_length=1)
    seeds: list[_Seed] | None = Field(default=None, min_length=1)


class Exclusion(_Table):
    """A pattern (`*`, `?`, `[...]`) for each axis that matters; a run that all of them match is left out."""

    model: _Text | None = None
    quant: _Text | None = None
    calib: _Text | None = None
    perturbation: _Text | None = None
    task: _Text | None = None
    seed: _Seed | None = None

    def matches(self, spec: RunSpec) -> bool:
        """Whether this run is left out."""
        values = {
            "model": spec.model,
            "quant": spec.quant,
            "calib": spec.calib or "none",
            "perturbation": spec.perturbation or NO_PERTURBATION,
            "task": spec.base_task,
            "seed": str(spec.seed),
        }
        patterns = self.model_dump(exclude_none=True)
        return bool(patterns) and all(
            fnmatch.fnmatchcase(values[axis], str(pattern)) for axis, pattern in patterns.items()
        )


class Study(Lists):
    """A study: its axes, what holds for all its runs, and exceptions."""

    samples: Annotated[int | None, _bounded("samples")] = None
    temperature: Annotated[float | None, _bounded("temperature")] = None
    top_p: Annotated[float | None, _bounded("top_p")] = None
    max_new_tokens: Annotated[int | None, _bounded("max_new_tokens")] = None
    limit: Annotated[int | None, _bounded("limit")] = None
    batch_size: Annotated[int | None, _bounded("batch_size")] = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    backend: Literal["hf", "vllm"] = "hf"
    trust_remote_code: bool = False
    measure: list[Literal["profile", "noise"]] = []
    include: list[Lists] = []
    exclude: list[Exclusion] = []

    def specs(self, output: Path, data_dir: Path | None = None, allow_unsandboxed: bool = False) -> list[RunSpec]:
        """All runs, each once: those to compare with first, then by model and quantizer, so that each is made once.

        Raises SpecError or UnknownNameError for a quantizer or calibration set that does not exist.
        """
        return [spec for spec in self._cells(output, data_dir, allow_unsandboxed) if spec.task]

    def measurements(self, output: Path, data_dir: Path | None = None) -> list[tuple[str, RunSpec]]:
        """(kind, model) of what is to be measured: each model once, at the first of its seeds; a spec without a task.

        Full precision is always among them, for it is what costs are compared with; it has no noise.
        """
        models: dict[tuple[str, str, str | None], RunSpec] = {}
        for spec in self._cells(output, data_dir, False):
            for each in (dataclasses.replace(spec, quant="none", calib=None), spec):
                kept = {
                    name: getattr(each, name) for name in (*OF_THE_MODEL, "trust_remote_code", "data_dir", "output")
                }
                models.setdefault((each.model, each.quant, each.calib), RunSpec(task="", **kept))
        return [
            (kind, spec)
            for kind in dict.fromkeys(self.measure)
            for spec in models.values()
            if kind != "noise" or spec.quant != "none"
        ]

    def _cells(self, output: Path, data_dir: Path | None, allow_unsandboxed: bool) -> list[RunSpec]:
        """All combinations, without a task where the study has none."""
        settings = self.model_dump(exclude={*Lists.model_fields, "measure", "include", "exclude"})
        found: dict[RunSpec, None] = {}
        for lists in (self, *self.include):
            for axes in self._combinations(lists):
                spec = _definite(
                    RunSpec(**axes, **settings, output=output, data_dir=data_dir, allow_unsandboxed=allow_unsandboxed)
                )
                if not any(exclusion.matches(spec) for exclusion in self.exclude):
                    found[spec] = None
        order = {key: n for n, key in enumerate(dict.fromkeys(map(_by_model, found)))}
        return sorted(found, key=lambda spec: (spec.quant != "none", order[_by_model(spec)]))

    def _combinations(self, lists: Lists) -> Iterator[dict[str, Any]]:
        def axis(name: str, default: list[Any]) -> list[Any]:
            return getattr(lists, name) or getattr(self, name) or default

        axes = (
            axis("models", [DEFAULT_MODEL]),
            axis("quants", ["none"]),
            axis("calibs", [None]),
            axis("tasks", [""]),
            axis("perturbations", [NO_PERTURBATION]),
            axis("seeds", [0]),
        )
        for model, quant, calib, task, perturbation, seed in itertools.product(*axes):
            full = task if perturbation == NO_PERTURBATION else f"{task}@{perturbation}"
            yield {"model": model, "quant": quant, "calib": calib, "task": full, "seed": seed}


def read_study(path: Path) -> Study:
    """Read a study's file; raise StudyError that says in one line what is wrong with it, and where."""
    document = read_toml(path, StudyError)
    try:
        study = Study.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        known = f"; known: {', '.join(Study.model_fields)}" if first["type"] == "extra_forbidden" else ""
        said = first["msg"] if first["type"] != "bounds" else f"it {first['msg']}"
        raise StudyError(f"{path}: {place}: {said}{known}") from None
    if not study.measure and not study.tasks and not any(lists.tasks for lists in study.include):
        raise StudyError(f'{path}: tasks is missing: give a list, as in tasks = ["tiny-python"]')
    return study


def _definite(spec: RunSpec) -> RunSpec:
    """With its quantizer written out, and no calibration set where it needs none: so that equal runs are equal."""
    quantizer = get_registry().quantizer(spec.quant)
    calib = definite_set(spec.calib)  # one that does not exist is an error though it may not be needed
    return dataclasses.replace(spec, quant=str(unbind(quantizer)), calib=calib if quantizer.needs_calibration else None)


def _by_model(spec: RunSpec) -> tuple[Any, ...]:
    return spec.model, spec.quant, spec.calib, spec.seed
