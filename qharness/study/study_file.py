"""A study's file: lists whose combinations are runs, with what is added and what is left out."""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from qharness.errors import QHarnessError, StudyError
from qharness.quantization.backends import BackendName
from qharness.quantization.resolution import bind_model
from qharness.specs import ModelSpec, RunSpec, Sampling, TaskName
from qharness.storage.json_reader import read_toml
from qharness.study.axes import AXES, Axis, Point, bounded

_COMMON = ModelSpec()


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


class Settings(_Table):
    """The settings of all runs of a study. `instance`: the machine by which profiles reckon dollars and CO2."""

    samples: Annotated[int | None, bounded("samples")] = None
    temperature: Annotated[float | None, bounded("temperature")] = None
    top_p: Annotated[float | None, bounded("top_p")] = None
    max_new_tokens: Annotated[int | None, bounded("max_new_tokens")] = None
    limit: Annotated[int | None, bounded("limit")] = None
    batch_size: Annotated[int | None, bounded("batch_size")] = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    backend: BackendName = "hf"
    base_url: str | None = None
    api_key_env: str | None = None
    trust_remote_code: bool = False
    chat: bool = False
    system: str | None = None
    think: bool = True
    language: str | None = None
    measure: list[Literal["profile", "noise"]] = []
    instance: str | None = None


def _list_of(kind: Any) -> Any:
    return list[kind]


def _table(name: str, fields: Any) -> type[_Table]:
    """A table with these fields, each of which has a type and a default."""
    return create_model(name, __base__=_Table, **fields)


_Lists = _table(
    "_Lists", {axis.list_name: (_list_of(axis.type) | None, Field(default=None, min_length=1)) for axis in AXES}
)
_Exclusion = _table("_Exclusion", {axis.name: (axis.type | None, None) for axis in AXES})
_File = create_model(
    "_File", __base__=(Settings, _Lists), include=(_list_of(_Lists), []), exclude=(_list_of(_Exclusion), [])
)


@dataclass(frozen=True)
class Study:
    """A study: the settings of all its runs, and grids of them with exceptions.

    `grids`: values by axis, the study's own and then one for each `include`. `exclusions`: a pattern (`*`, `?`,
    `[...]`) for each axis that matters; a point is left out if it matches all patterns of one.
    """

    settings: Settings
    grids: Sequence[Mapping[Axis, Sequence[object]]]
    exclusions: Sequence[Mapping[Axis, str]]

    def specs(self, output: Path, common: ModelSpec = _COMMON, *, allow_unsandboxed: bool = False) -> list[RunSpec]:
        """All runs, each once: those to compare with first, then by model and quantizer, so that each is made once.

        `common`: gives all models their `data_dir`, `allow_untouched` and `trust_remote_code`. Raises SpecError or
        UnknownNameError for a quantizer or calibration set that does not exist.
        """
        settings = self.settings
        sampling = Sampling(settings.samples, settings.temperature, settings.top_p, settings.max_new_tokens)
        return [
            RunSpec(
                str(point.task),
                limit=settings.limit,
                batch_size=settings.batch_size,
                backend=settings.backend,
                allow_unsandboxed=allow_unsandboxed,
                output=output,
                chat=settings.chat,
                system=settings.system,
                think=settings.think,
                language=settings.language,
            ).settled(point.model, sampling)
            for point in self._points(common)
            if point.task.base
        ]

    def measurements(self, common: ModelSpec = _COMMON) -> list[tuple[str, ModelSpec]]:
        """(kind, model) of each measurement: each model once, at the first of its seeds; `common` as in `specs`.

        Full precision is always among them, for costs are compared with it; it has no noise.
        """
        models: dict[tuple[str, str, str | None], ModelSpec] = {}
        for point in self._points(common):
            for each in (dataclasses.replace(point.model, quant="none", calib=None), point.model):
                models.setdefault((each.model, each.quant, each.calib), each)
        return [
            (kind, model)
            for kind in dict.fromkeys(self.settings.measure)
            for model in models.values()
            if kind != "noise" or model.quant != "none"
        ]

    def _points(self, common: ModelSpec) -> list[Point]:
        """All combinations that are not excluded, quantizers and calibration sets in their shortest spelling."""
        settings = self.settings
        trusted = common.trust_remote_code or settings.trust_remote_code
        model = dataclasses.replace(
            common,
            device=settings.device,
            dtype=settings.dtype,
            base_url=settings.base_url,
            api_key_env=settings.api_key_env,
            trust_remote_code=trusted,
        )
        start = Point(model, TaskName(""))
        bound: dict[ModelSpec, ModelSpec] = {}
        found: dict[Point, None] = {}
        for grid in self.grids:
            for values in itertools.product(*grid.values()):
                point = start
                for axis, value in zip(grid, values, strict=True):
                    point = axis.put(point, value)
                if point.model not in bound:
                    bound[point.model] = bind_model(point.model).spec
                point = dataclasses.replace(point, model=bound[point.model])
                if not any(_matches(point, patterns) for patterns in self.exclusions):
                    found[point] = None
        order = {model: n for n, model in enumerate(dict.fromkeys(point.model for point in found))}
        return sorted(found, key=lambda point: (point.model.quant != "none", order[point.model]))


def _matches(point: Point, patterns: Mapping[Axis, str]) -> bool:
    """Whether an exclusion's patterns all match; none excludes nothing."""
    return bool(patterns) and all(fnmatch.fnmatchcase(axis.text(point), text) for axis, text in patterns.items())


def _check_instance(settings: Settings, path: Path) -> None:
    """Raise StudyError for an instance that does not exist, or that no profile is to be reckoned by."""
    from qharness.hosting.instances import extra_instances, find_instance, read_instances

    if "profile" not in settings.measure:
        raise StudyError(f'{path}: instance is for profiles: add measure = ["profile"]')
    try:
        find_instance(settings.instance or "", read_instances(extra_instances()))
    except QHarnessError as error:
        raise StudyError(f"{path}: instance: {error}") from None


def read_study(path: Path) -> Study:
    """Read a study's file; raise StudyError that says in one line what is wrong with it, and where."""
    document = read_toml(path, StudyError)
    try:
        file: Any = _File.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        known = f"; known: {', '.join(_File.model_fields)}" if first["type"] == "extra_forbidden" else ""
        said = first["msg"] if first["type"] != "bounds" else f"it {first['msg']}"
        raise StudyError(f"{path}: {place}: {said}{known}") from None
    if file.instance is not None:
        _check_instance(file, path)
    if not file.chat and (file.system is not None or not file.think):
        raise StudyError(f"{path}: {'think' if file.system is None else 'system'} is for a chat: add chat = true")
    tables = (file, *file.include)
    if not file.measure and not any(table.tasks for table in tables):
        raise StudyError(f'{path}: tasks is missing: give a list, as in tasks = ["tiny-python"]')
    own, *_ = lists = [{axis: getattr(table, axis.list_name) for axis in AXES} for table in tables]
    return Study(
        settings=file,
        grids=[{axis: each[axis] or own[axis] or [axis.default] for axis in AXES} for each in lists],
        exclusions=[
            {axis: str(text) for axis in AXES if (text := getattr(table, axis.name)) is not None}
            for table in file.exclude
        ],
    )
