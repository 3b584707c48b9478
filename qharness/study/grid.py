"""A study's file: lists whose combinations are runs, with what is added and what is left out."""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qharness.calibration import definite_set
from qharness.errors import StudyError
from qharness.registry import get_registry
from qharness.runs import DEFAULT_MODEL, RunSpec
from qharness.spec import unbind
from qharness.storage.json_reader import read_toml
from qharness.study.jobs import OF_THE_MODEL

NO_PERTURBATION = "none"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Lists(_Table):
    """The axes of a grid. One that an `include` leaves out is the study's own."""

    models: list[str] | None = Field(default=None, min_length=1)
    quants: list[str] | None = Field(default=None, min_length=1)
    calibs: list[str] | None = Field(default=None, min_length=1)
    perturbations: list[str] | None = Field(default=None, min_length=1)
    tasks: list[str] | None = Field(default=None, min_length=1)
    seeds: list[int] | None = Field(default=None, min_length=1)


class Exclusion(_Table):
    """A pattern (`*`, `?`, `[...]`) for each axis that matters; a run that all of them match is left out."""

    model: str | None = None
    quant: str | None = None
    calib: str | None = None
    perturbation: str | None = None
    task: str | None = None
    seed: int | None = None

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

    samples: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_new_tokens: int | None = Field(default=None, ge=1)
    limit: int | None = Field(default=None, ge=1)
    batch_size: int | None = Field(default=None, ge=1)
    device: str = Field(default="auto", pattern="^(auto|cpu|cuda)$")
    dtype: str = Field(default="auto", pattern="^(auto|float32|bfloat16|float16)$")
    backend: str = Field(default="hf", pattern="^(hf|vllm)$")
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
                kept = {name: getattr(each, name) for name in (*OF_THE_MODEL, "data_dir", "output")}
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
    try:
        study = Study.model_validate(read_toml(path, StudyError))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        known = f"; known: {', '.join(Study.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise StudyError(f"{path}: {place}: {first['msg']}{known}") from None
    if not study.measure and not study.tasks and not any(lists.tasks for lists in study.include):
        raise StudyError(f'{path}: tasks is missing: give a list, as in tasks = ["tiny-python"]')
    return study


def _definite(spec: RunSpec) -> RunSpec:
    """With its quantizer written out, and no calibration set where it needs none: so that equal runs are equal."""
    quantizer = get_registry().quantizer(spec.quant)
    calib = definite_set(spec.calib) if quantizer.needs_calibration else None
    return dataclasses.replace(spec, quant=str(unbind(quantizer)), calib=calib)


def _by_model(spec: RunSpec) -> tuple[Any, ...]:
    return spec.model, spec.quant, spec.calib, spec.seed
