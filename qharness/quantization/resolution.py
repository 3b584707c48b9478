"""Resolves a model: makes the plugins that its spec names, settles device and dtype, finds its checkpoint."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qharness.api.calibration_sets import CalibrationSet
from qharness.api.quantizers import Quantizer, RevisedQuantizer
from qharness.errors import ModelError
from qharness.registry import get_registry
from qharness.spec import unbind
from qharness.specs import ModelSpec

if TYPE_CHECKING:
    from qharness.models.checkpoint import Checkpoint
    from qharness.models.server_model import ServerModel

DEFAULT_SET = "stdlib"
"""The calibration set where none is named."""


@dataclass(frozen=True)
class BoundModel:
    """A model whose quantizer and calibration set are made; nothing of its checkpoint has been looked at.

    `spec`: quantizer and set in their shortest spelling; no set, there and in `calibration_set`, where the quantizer
    needs none.
    """

    spec: ModelSpec
    quantizer: Quantizer
    calibration_set: CalibrationSet | None

    def named(self, model: str) -> BoundModel:
        """Another model, quantized and calibrated in the same way."""
        return BoundModel(dataclasses.replace(self.spec, model=model), self.quantizer, self.calibration_set)


@dataclass(frozen=True)
class ResolvedModel(BoundModel):
    """A model with nothing left open: `spec` names device and dtype too, but for a model that a server holds.

    `resolve` makes it, and nothing else does.
    """

    source: Checkpoint | ServerModel

    @property
    def checkpoint(self) -> Checkpoint:
        """The model's files. Raises ModelError for a model that a server holds."""
        from qharness.models.checkpoint import Checkpoint

        if not isinstance(self.source, Checkpoint):
            raise ModelError(f"model {self.source.identity} has no checkpoint here: it can be run, and nothing else")
        return self.source

    def key(self) -> dict[str, object]:
        """All that decides the quantized model's values, but for the versions of the programs that make it."""
        return {
            "model": self.source.identity,
            "quant": self.spec.quant,
            "calib": self.spec.calib,
            "seed": self.spec.seed,
            "device": self.spec.device,
            "dtype": self.spec.dtype,
            **({"trust_remote_code": True} if self.spec.trust_remote_code else {}),
            **({"revision": self.quantizer.revision} if isinstance(self.quantizer, RevisedQuantizer) else {}),
        }

    @property
    def name_parts(self) -> tuple[str, str, str]:
        """Model, quantizer and calibration set: the names of its runs and measurements begin with these."""
        return self.source.short_name, self.spec.quant, self.spec.calib or "none"

    def full_precision(self, source: Checkpoint | ServerModel | None = None) -> ResolvedModel:
        """The same model, or another in its place, not quantized."""
        found = source or self.source
        quantizer = self.quantizer if self.spec.quant == "none" else get_registry().quantizer("none")
        spec = dataclasses.replace(self.spec, model=found.name, quant="none", calib=None, parent=None)
        return resolve(BoundModel(spec, quantizer, None), found)


def bind_set(spec: str | None) -> CalibrationSet:
    """The calibration set of a spec string; None is the default one. Raises SpecError or UnknownNameError."""
    return get_registry().calibration_set(DEFAULT_SET if spec is None else spec)


def bind_model(spec: ModelSpec) -> BoundModel:
    """Make the quantizer and the calibration set that a spec names. Raises SpecError or UnknownNameError.

    A set that does not exist is an error even where it is not needed.
    """
    quantizer, calibration_set = get_registry().quantizer(spec.quant), bind_set(spec.calib)
    needed = calibration_set if quantizer.needs_calibration else None
    calib = None if needed is None else str(unbind(needed))
    return BoundModel(dataclasses.replace(spec, quant=str(unbind(quantizer)), calib=calib), quantizer, needed)


def resolve(bound: BoundModel, source: Checkpoint | ServerModel | None = None) -> ResolvedModel:
    """Settle device and dtype, and find the checkpoint, which is not read yet; or the server. Raises ModelError."""
    from qharness.models.checkpoint import Checkpoint
    from qharness.models.loading import resolve_device, resolve_dtype
    from qharness.models.server_model import ServerModel

    spec = bound.spec
    if spec.base_url is not None:
        held = source or ServerModel(spec.model, spec.base_url, spec.api_key_env)
        return ResolvedModel(spec, bound.quantizer, bound.calibration_set, held)
    device = resolve_device(spec.device)
    dtype = str(resolve_dtype(spec.dtype, device, spec.model)).removeprefix("torch.")
    spec = dataclasses.replace(spec, device=device.type, dtype=dtype)
    found = source or Checkpoint(spec.model, spec.trust_remote_code)
    return ResolvedModel(spec, bound.quantizer, bound.calibration_set, found)
