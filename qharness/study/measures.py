"""What a study measures of its models besides running them: hosting costs and quantization noise, a file each."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qharness.evaluate.folder import folder_name, write_json
from qharness.hosting import ProfileSpec, profile
from qharness.models.loading import identity, locate
from qharness.models.store import definite
from qharness.noise import NoiseSpec, measure_noise
from qharness.types import RunSpec

_OF_THE_MODEL = ("model", "quant", "calib", "seed", "device", "dtype")


@dataclass(frozen=True)
class Measurement:
    """A model, quantized, and what is measured of it; `spec` has no task."""

    kind: str
    spec: RunSpec

    @property
    def path(self) -> Path:
        """`OUTPUT/KIND/<model>--<quant>--<calib>--<hash>.json`."""
        spec = definite(self.spec)
        key = {name: getattr(spec, name) for name in _OF_THE_MODEL} | {
            "model": identity(spec.model),
            "qharness": importlib.metadata.version("qharness"),
        }
        folder = locate(spec.model)
        model = folder.resolve().name if folder.is_dir() else folder.as_posix()
        name = folder_name((model, spec.quant, spec.calib or "none"), key, {})
        return spec.output / self.kind / f"{name}.json"

    def measure(self) -> Path:
        """The file, made if it is not there yet. Raises QHarnessError, or what a model or plugin raises."""
        path = self.path
        if not path.is_file():
            document = _KINDS[self.kind](definite(self.spec))
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, document)
        return path


def measurements(kinds: Iterable[str], specs: Iterable[RunSpec]) -> Iterator[Measurement]:
    """What is to be measured of the models that these runs use, each once, at the first of their seeds.

    Full precision is always among them: it is what costs are compared with.
    """
    models: dict[tuple[str, str, str | None], RunSpec] = {}
    for spec in specs:
        for each in (dataclasses.replace(spec, quant="none", calib=None), spec):
            models.setdefault((each.model, each.quant, each.calib), _of_the_model(each))
    for kind in kinds:
        for spec in models.values():
            if kind != "noise" or spec.quant != "none":  # full precision has none
                yield Measurement(kind, spec)


def _of_the_model(spec: RunSpec) -> RunSpec:
    kept = {name: getattr(spec, name) for name in (*_OF_THE_MODEL, "data_dir", "output")}
    return RunSpec(task="", **kept)


def _profile(spec: RunSpec) -> dict[str, Any]:
    return profile(
        ProfileSpec(
            model=spec.model,
            quant=spec.quant,
            calib=spec.calib,
            seed=spec.seed,
            device=spec.device,
            dtype=spec.dtype,
            data_dir=spec.data_dir,
            baseline=False,
        )
    )


def _noise(spec: RunSpec) -> dict[str, Any]:
    (document,) = measure_noise(
        NoiseSpec(
            spec.model,
            [spec.quant],
            spec.calib,
            seed=spec.seed,
            device=spec.device,
            dtype=spec.dtype,
            data_dir=spec.data_dir,
        )
    )
    return document


_KINDS: dict[str, Callable[[RunSpec], dict[str, Any]]] = {"profile": _profile, "noise": _noise}
KINDS = tuple(_KINDS)
