"""Quantized models: the last one in memory, and one that took long to make on disk, under a hash of what made it."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from qharness.api.quantizers import CacheableQuantizer, LayerForm
from qharness.errors import DataError, DiskError, first_line
from qharness.models.conventions import follow
from qharness.models.lm import QHarnessLM
from qharness.models.loading import (
    LoadedModel,
    identity,
    load_config,
    load_model,
    load_tokenizer,
    resolve_device,
    resolve_dtype,
)
from qharness.models.untouched import Untouched
from qharness.progress import note
from qharness.quantization.application import quantize_loaded
from qharness.quantization.calibration import calibrate, definite_set
from qharness.quantization.model_cache import FORMAT, UncacheableError, read_model, write_model
from qharness.quantization.quantized_artifacts import limit_bytes, make_room, quantized
from qharness.registry import get_registry
from qharness.spec import parse, unbind
from qharness.specs import RunSpec

T = TypeVar("T")

KEPT_FROM_S = 10.0


@dataclass(frozen=True)
class QuantizedModel:
    """A model ready to run, what it was calibrated on, as counts by source, and what its quantizer said meanwhile.

    `lost`: it took long, and the cache could not take it: when this process ends, it has to be made again.
    """

    loaded: LoadedModel
    composition: Mapping[str, int] | None
    log: Sequence[str] = ()
    lost: bool = False

    @property
    def untouched(self) -> Untouched | None:
        """What the quantizer left in full precision; None of a model that is not quantized."""
        return self.loaded.untouched

    def lm(self, spec: RunSpec) -> QHarnessLM:
        """The model as lm-eval runs it."""
        return QHarnessLM(self.loaded, seed=spec.seed, batch_size=spec.batch_size)


def definite(spec: RunSpec) -> RunSpec:
    """The spec with nothing of its model left open: quantizer and set as they are bound, device and dtype by name.

    Raises SpecError, UnknownNameError or ModelError.
    """
    quantizer = get_registry().quantizer(spec.quant)
    calib = definite_set(spec.calib)  # one that does not exist is an error though it may not be needed
    device = resolve_device(spec.device)
    return dataclasses.replace(
        spec,
        quant=str(unbind(quantizer)),
        calib=calib if quantizer.needs_calibration else None,
        device=device.type,
        dtype=str(resolve_dtype(spec.dtype, device, spec.model)).removeprefix("torch."),
    )


class Models:
    """Makes the models that runs ask for, each once. Specs must be `definite`."""

    def __init__(self, kept_from_s: float | None = None) -> None:
        self._kept_from_s = KEPT_FROM_S if kept_from_s is None else kept_from_s
        self._last: tuple[str, Any] | None = None

    def get(self, spec: RunSpec, log: Callable[[str], None] = note, *, placed: bool = True) -> QuantizedModel:
        """The model of a run. The one before is let go first, so that two are never in memory.

        `placed` false: it need not be where it is to run; the model may be too large for that. Raises ModelError
        where more than half of the blocks stayed in full precision, unless the spec allows that.
        """
        about = _about(spec)
        key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
        made = self.held(key, lambda: self._alone(spec, key, about, log))
        if made.untouched and not spec.allow_untouched:
            made.untouched.require_less_than_half(spec.quant)
        if placed:
            made.loaded.place()
        return made

    def held(self, key: str, make: Callable[[], T]) -> T:
        """What `make` makes, or made of this key when it was last called."""
        if self._last is None or self._last[0] != key:
            self._last = None
            self._last = key, make()
        made: T = self._last[1]
        return made

    def _alone(self, spec: RunSpec, key: str, about: dict[str, Any], log: Callable[[str], None]) -> QuantizedModel:
        """Read or made; no two processes make the same one. Full precision is not made, and never kept."""
        if spec.quant == "none":
            return self._make(spec, key, about, log)
        limit = limit_bytes()
        with quantized(key).locked(f"{spec.quant} of {spec.model}"):
            made = self._read(spec, key, log) or self._make(spec, key, about, log)
        make_room(limit, newest=key)
        return made

    def _make(self, spec: RunSpec, key: str, about: dict[str, Any], log: Callable[[str], None]) -> QuantizedModel:
        quantizer = get_registry().quantizer(spec.quant)
        loaded = load_model(
            spec.model, spec.device, spec.dtype, spec.baseline, placed=False, trust_remote_code=spec.trust_remote_code
        )
        start = time.monotonic()
        calibration = None
        if quantizer.needs_calibration:
            calibration = calibrate(loaded, spec.calib, seed=spec.seed, data_dir=spec.data_dir)
        said: list[str] = []

        def keep(line: str) -> None:
            said.append(line)
            log(line)

        quantize_loaded(
            loaded,
            quantizer,
            seed=spec.seed,
            calibration=calibration,
            log=keep,
            allow_untouched=spec.allow_untouched,
        )
        composition = dict(calibration.composition) if calibration else None
        seconds = time.monotonic() - start
        lost = False
        if seconds >= self._kept_from_s:
            about = {**about, "seconds": round(seconds, 1), "composition": composition, "log": said}
            untouched = {"untouched": loaded.untouched.document()} if loaded.untouched else {}
            lost = not _keep(loaded, spec, key, about | untouched)
        return QuantizedModel(loaded, composition, said, lost)

    def _read(self, spec: RunSpec, key: str, log: Callable[[str], None]) -> QuantizedModel | None:
        """A model that was made before; None also for one of which nobody knows what was left untouched."""
        cached = quantized(key)
        if not cached.there:
            return None
        try:
            about = cached.about()
            untouched = Untouched.of_document(about.get("untouched"))
            if untouched is None:
                return None
            config = load_config(spec.model, spec.trust_remote_code)
            model = read_model(cached.folder, config, _forms(spec), spec.trust_remote_code)
            cached.use()
        except (DataError, OSError, LookupError, TypeError) as error:
            cached.damaged(first_line(error))
            return None
        tokenizer = load_tokenizer(spec.model, spec.baseline, spec.trust_remote_code)
        follow(model, tokenizer)
        note(f"quantized before: {cached.folder}")
        if untouched.notable:
            log(f"{parse(spec.quant).name}: {untouched}")
        device = resolve_device(spec.device)
        return QuantizedModel(
            LoadedModel(model.eval(), tokenizer, spec.model, device=device, untouched=untouched),
            about.get("composition"),
            about.get("log", ()),
        )


def _about(spec: RunSpec) -> dict[str, Any]:
    """What a quantized model depends on: its content's address."""
    entry = get_registry().quantizers[parse(spec.quant).name]
    return {
        "format": FORMAT,
        "model": identity(spec.model, spec.trust_remote_code),
        "quant": spec.quant,
        "calib": spec.calib,
        "seed": spec.seed,
        "device": spec.device,
        "dtype": spec.dtype,
        **({"trust_remote_code": True} if spec.trust_remote_code else {}),
        "plugin": f"{entry.plugin} {entry.version}",
        **{name: importlib.metadata.version(name) for name in ("torch", "transformers")},
    }


def _forms(spec: RunSpec) -> Sequence[LayerForm]:
    """How the layers of the quantizer's own are cached; nothing where it has none, or does not say."""
    quantizer = get_registry().quantizer(spec.quant)
    return quantizer.layer_forms() if isinstance(quantizer, CacheableQuantizer) else ()


def _keep(loaded: LoadedModel, spec: RunSpec, key: str, about: dict[str, Any]) -> bool:
    """Write a model so that it is there whole or not at all; whether it is. One that has no form there is not."""
    config = load_config(spec.model, spec.trust_remote_code)
    try:
        with quantized(key).writing(about) as folder:
            write_model(loaded.model, config, _forms(spec), folder, spec.trust_remote_code)
    except (UncacheableError, DiskError) as error:
        note(f"the quantized model could not be kept for other runs: {str(error).partition('; make room')[0]}")
        return False
    return True
