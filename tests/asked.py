"""What tests ask for, by spec strings: models bound and resolved, calibration sequences, sizes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from qharness.api.calibration_sets import Calibration
from qharness.models.checkpoint import Checkpoint
from qharness.models.loading import LoadedModel
from qharness.models.weight_footprint import footprint
from qharness.quantization.calibration import calibrate
from qharness.quantization.resolution import BoundModel, ResolvedModel, bind_model, bind_set, resolve
from qharness.registry import get_registry
from qharness.specs import ModelSpec


def bound(model: Path | str, quant: str = "none", **options: Any) -> BoundModel:
    return bind_model(ModelSpec(str(model), quant, **options))


def resolved(model: Path | str, quant: str = "none", **options: Any) -> ResolvedModel:
    return resolve(bound(model, quant, **options))


def calibrated(loaded: LoadedModel, calib: str | None, *, seed: int, data_dir: Path | None = None) -> Calibration:
    return calibrate(loaded, bind_set(calib), seed=seed, data_dir=data_dir)


def sizes(model: Path | str, quant: str, dtype: str = "auto") -> dict[str, Any]:
    return asdict(footprint(Checkpoint(str(model)), get_registry().quantizer(quant), dtype))
