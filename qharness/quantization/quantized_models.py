"""Quantized models: the last one held in memory, and those that took long to make cached on disk."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from qharness.api.quantizers import CacheableQuantizer, LayerForm
from qharness.errors import DataError, DiskError, first_line
from qharness.models.conventions import follow
from qharness.models.lm import LoadedLM
from qharness.models.loading import LoadedModel, load_model, load_tokenizer, resolve_device
from qharness.models.untouched import Untouched
from qharness.progress import detail, note
from qharness.quantization.application import quantize_loaded
from qharness.quantization.calibration import calibrate
from qharness.quantization.model_cache import FORMAT, UncacheableError, read_model, write_model
from qharness.quantization.quantized_artifacts import limit_bytes, make_room, quantized
from qharness.quantization.resolution import ResolvedModel
from qharness.registry import get_registry

T = TypeVar("T")

CACHED_FROM_S = 10.0
"""Seconds of calibrating and quantizing from which a model is cached."""


@dataclass(frozen=True)
class QuantizedModel:
    """A model ready to run. `composition`: its calibration sequences by source; `log`: the lines of its quantizer.

    `lost`: it took long, and the cache could not take it: when this process ends, it has to be made again.
    """

    loaded: LoadedModel
    composition: Mapping[str, int] | None
    log: Sequence[str] = ()
    lost: bool = False

    @property
    def untouched(self) -> Untouched | None:
        """The part that the quantizer left in full precision; None of a model that is not quantized."""
        return self.loaded.untouched

    def lm(self, seed: int, batch_size: int | None) -> LoadedLM:
        """The model as lm-eval runs it."""
        return LoadedLM(self.loaded, seed, batch_size)


class Models:
    """Makes the models that runs ask for, and holds the last one."""

    def __init__(self, cached_from_s: float | None = None) -> None:
        self._cached_from_s = CACHED_FROM_S if cached_from_s is None else cached_from_s
        self._last: tuple[str, Any] | None = None

    def get(self, model: ResolvedModel, log: Callable[[str], None] = detail, *, placed: bool = True) -> QuantizedModel:
        """A model that is ready to run. The one before is let go first, so that two are never in memory.

        `placed` false: it need not be where it is to run; the model may be too large for that. Raises ModelError
        where more than half of the blocks stayed in full precision, unless the spec allows that.
        """
        about = _about(model)
        key = _hashed(about)
        is_new = not self._holds(key)
        made = self.reuse(key, lambda: self._locked(model, key, about, log))
        if made.untouched and not model.spec.allow_untouched:
            made.untouched.require_less_than_half(model.spec.quant)
        if is_new and made.untouched and made.untouched.notable:
            note(f"{model.spec.quant}: {made.untouched}")
        if placed:
            made.loaded.place()
        return made

    def reuse(self, key: str, make: Callable[[], T]) -> T:
        """The last result if it was made under this key; else that of `make`."""
        if not self._holds(key):
            self._last = None
            self._last = key, make()
        assert self._last is not None
        made: T = self._last[1]
        return made

    def _holds(self, key: str) -> bool:
        return self._last is not None and self._last[0] == key

    def _locked(
        self, model: ResolvedModel, key: str, about: dict[str, object], log: Callable[[str], None]
    ) -> QuantizedModel:
        """Read the model from the cache or make it, under a lock; full precision is loaded, and never cached."""
        if model.spec.quant == "none":
            return self._make(model, key, about, log)
        limit = limit_bytes()
        with quantized(key).locked(f"{model.spec.quant} of {model.spec.model}"):
            made = _read(model, key, log) or self._make(model, key, about, log)
        make_room(limit, newest=key)
        return made

    def _make(
        self, model: ResolvedModel, key: str, about: dict[str, object], log: Callable[[str], None]
    ) -> QuantizedModel:
        """Load a model, calibrate and quantize it; write it to the cache if that took long."""
        spec, chosen = model.spec, model.calibration_set
        loaded = load_model(model.checkpoint, spec.device, spec.dtype, spec.parent, placed=False)
        start = time.monotonic()
        calibration = calibrate(loaded, chosen, seed=spec.seed, data_dir=spec.data_dir) if chosen else None
        said: list[str] = []

        def keep(line: str) -> None:
            said.append(line)
            log(line)

        quantize_loaded(
            loaded,
            model.quantizer,
            seed=spec.seed,
            calibration=calibration,
            log=keep,
            allow_untouched=spec.allow_untouched,
        )
        composition = dict(calibration.composition) if calibration else None
        seconds = time.monotonic() - start
        lost = False
        if seconds >= self._cached_from_s:
            about = {**about, "seconds": round(seconds, 1), "composition": composition, "log": said}
            untouched = {"untouched": asdict(loaded.untouched)} if loaded.untouched else {}
            lost = not _write(loaded, model, key, about | untouched)
        return QuantizedModel(loaded, composition, said, lost)


def _about(model: ResolvedModel) -> dict[str, object]:
    """All that decides a quantized model: the key of its place in the cache is a hash of this."""
    offer = get_registry().quantizers[model.quantizer.name]
    return {
        "format": FORMAT,
        **model.key(),
        "plugin": f"{offer.plugin} {offer.version}",
        **{name: importlib.metadata.version(name) for name in ("torch", "transformers")},
    }


def values_key(model: ResolvedModel) -> str:
    """A hash of all that decides a model's values: equal for models that answer alike."""
    return _hashed(_about(model))


def _hashed(about: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def is_cached(model: ResolvedModel) -> bool:
    """Whether a quantized model is in the cache."""
    return model.spec.quant != "none" and quantized(values_key(model)).there


def _forms(model: ResolvedModel) -> Sequence[LayerForm]:
    """The forms in which the quantizer's own layers are cached; none where it has none, or does not say."""
    return model.quantizer.layer_forms() if isinstance(model.quantizer, CacheableQuantizer) else ()


def _read(model: ResolvedModel, key: str, log: Callable[[str], None]) -> QuantizedModel | None:
    """The model from the cache; None if it is not there, or its untouched part was not recorded."""
    cached = quantized(key)
    if not cached.there:
        return None
    try:
        about = cached.about()
        if about.get("untouched") is None:
            return None
        untouched = Untouched(**about["untouched"])
        read = read_model(cached.folder, model.checkpoint, _forms(model))
        cached.use()
    except (DataError, OSError, LookupError, TypeError) as error:
        cached.damaged(first_line(error))
        return None
    tokenizer = load_tokenizer(model.checkpoint, model.spec.parent)
    follow(read, tokenizer)
    note(f"quantized before: {cached.folder}")
    if untouched.notable:
        log(f"{model.quantizer.name}: {untouched}")
    device = resolve_device(model.spec.device)
    remarks = model.checkpoint.remarks
    loaded = LoadedModel(read.eval(), tokenizer, model.spec.model, device=device, untouched=untouched, remarks=remarks)
    return QuantizedModel(loaded, about.get("composition"), about.get("log", ()))


def _write(loaded: LoadedModel, model: ResolvedModel, key: str, about: dict[str, object]) -> bool:
    """Write a model to the cache, whole or not at all; returns whether it could be written."""
    try:
        with quantized(key).writing(about) as folder:
            write_model(loaded.model, model.checkpoint, _forms(model), folder)
    except (UncacheableError, DiskError) as error:
        note(f"the quantized model could not be cached for other runs: {str(error).partition('; make room')[0]}")
        return False
    return True
