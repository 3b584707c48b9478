"""`profile`: what one quantized model costs to host, beside full precision."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qharness.bounds import check_fields
from qharness.errors import QHarnessError
from qharness.hosting import energy
from qharness.hosting.costs import estimated_energy, per_1000
from qharness.hosting.instances import DEFAULT_INSTANCE, Instance, find_instance
from qharness.hosting.measurement import Load, Measured, check_fits, measure_apart
from qharness.progress import note
from qharness.quantization.resolution import BoundModel, ResolvedModel, resolve

DEFAULT_COUNTRY = "USA"
RATIOS = ("latency_s", "tokens_per_s", "storage_bytes", "resident_bytes", "usd_per_1k", "gco2eq_per_1k")
"""Fields that are compared with full precision."""


@dataclass(frozen=True)
class ProfileSpec:
    """A model to profile, and how. `latency`: seconds a prediction, known already; nothing is measured then.

    `energy`: `auto` measures power where that can be done, `measured` insists, `estimated` goes by the instance.
    """

    model: BoundModel
    latency: float | None = None
    instance: str = DEFAULT_INSTANCE
    instances: Path | None = None
    energy: str = "auto"
    country: str = DEFAULT_COUNTRY
    baseline: bool = True
    load: Load = field(default_factory=Load)

    def __post_init__(self) -> None:
        check_fields(self)


def profile(spec: ProfileSpec) -> dict[str, Any]:
    """Measure a model, and its full precision if it is quantized, and say what 1,000 predictions cost.

    Raises QHarnessError, before anything is loaded, for a mistake in the spec.
    """
    instance = find_instance(spec.instance, spec.instances)
    if spec.country != DEFAULT_COUNTRY:  # though it may not be needed
        energy.check_country(spec.country)
    model = resolve(spec.model)
    _ = model.checkpoint.config  # one that does not exist is said now
    storage = _storage_bytes(model)
    if spec.latency is not None:
        if spec.energy == "measured":
            raise QHarnessError("--latency and --energy measured exclude each other: with --latency nothing is run")
        return _document(spec, model, instance, storage, None, "nothing was run")
    check_fits(model.checkpoint, spec.load)
    load, reason = _with_power(spec, model.spec.device)
    document = _measured(spec, model, instance, storage, load, reason)
    if spec.baseline and model.spec.quant != "none":
        full = model.full_precision()
        try:
            baseline = _measured(spec, full, instance, _storage_bytes(full), load, reason)
        except QHarnessError as error:  # it may not fit where its quantized form does
            document["notes"].append(f"full precision could not be measured: {error}")
        else:
            document |= {"baseline": baseline, "ratios": _ratios(document, baseline)}
    return document


def _storage_bytes(model: ResolvedModel) -> int | None:
    from qharness.models.weight_footprint import checkpoint_figures

    return checkpoint_figures(model.checkpoint, model.quantizer)["storage_bytes"]


def _with_power(spec: ProfileSpec, device: str) -> tuple[Load, str]:
    """The load with power measured or not, and why not."""
    if spec.energy == "measured":
        energy.insist(device, spec.country)
    reason = "as asked" if spec.energy == "estimated" else energy.why_not(device)
    if reason:
        return dataclasses.replace(spec.load, country=None), reason
    energy.check_country(spec.country)
    return dataclasses.replace(spec.load, country=spec.country), ""


def _measured(
    spec: ProfileSpec, model: ResolvedModel, instance: Instance, storage: int | None, load: Load, reason: str
) -> dict[str, Any]:
    note(f"profiling {model.spec.quant} on {model.spec.model}, in a process of its own")
    return _document(spec, model, instance, storage, measure_apart(model.spec, load), reason)


def _document(
    spec: ProfileSpec,
    model: ResolvedModel,
    instance: Instance,
    storage: int | None,
    found: Measured | None,
    reason: str,
) -> dict[str, Any]:
    """The document of one model; `reason`: why power was not measured."""
    if found is None:
        latency: dict[str, Any] = {"median": spec.latency, "q1": None, "q3": None}
    else:
        latency = dataclasses.asdict(found.latency[1])
    seconds = latency["median"]
    power = found.power if found else None
    used = power.energy(seconds) if power else {**estimated_energy(seconds, instance), "reason": reason}
    grams = used["gco2eq_per_kwh"]
    return {
        "model": model.spec.model,
        "quantizer": model.spec.quant,
        "calibration": model.spec.calib,
        "device": model.spec.device,
        "dtype": model.spec.dtype,
        "prompt_tokens": spec.load.prompt_tokens,
        "new_tokens": spec.load.new_tokens,
        "latency_s": latency,
        "tokens_per_s": spec.load.new_tokens / seconds,
        "batches": _batches(found, spec.load.new_tokens),
        "storage_bytes": storage,
        "weight_bytes": found.weights if found else None,
        "resident_bytes": found.resident if found else None,
        "process_bytes": _process_bytes(found),
        "usd_per_1k": per_1000(seconds, instance.usd_per_hour),
        "gco2eq_per_1k": None if grams is None or used["kwh_per_1k"] is None else used["kwh_per_1k"] * grams,
        "energy": used,
        "instance": spec.instance,
        "instance_per_hour": {"usd": instance.usd_per_hour, "gco2eq": instance.gco2eq_per_hour},
        "threads": found.threads if found else None,
        "layers": found.layers if found else {},
        "quantization": list(found.log) if found else [],
        "notes": [],
    }


def _batches(found: Measured | None, new_tokens: int) -> list[dict[str, Any]]:
    """Tokens a second at each batch size: of the whole batch, its prompts read anew each time."""
    if found is None:
        return []
    return [
        {"size": size, "tokens_per_s": size * new_tokens / spread.median, "latency_s": dataclasses.asdict(spread)}
        for size, spread in found.latency.items()
    ]


def _process_bytes(found: Measured | None) -> dict[str, int | None] | None:
    if found is None:
        return None
    return {
        "before": found.process_before,
        "loaded": found.process_loaded,
        "peak": found.process_peak,
        "device_peak": found.device_peak,
    }


def _ratios(document: dict[str, Any], baseline: dict[str, Any]) -> dict[str, float | None]:
    """A model's figures by its full precision's; None where either is unknown."""

    def figure(of: dict[str, Any], name: str) -> float | None:
        value: float | None = of[name]["median"] if name == "latency_s" else of[name]
        return value

    pairs = {name: (figure(document, name), figure(baseline, name)) for name in RATIOS}
    return {name: a / b if a is not None and b else None for name, (a, b) in pairs.items()}
