"""`profile`: the cost of hosting one quantized model, beside full precision."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from qharness.bounds import check_fields
from qharness.errors import QHarnessError
from qharness.hosting import energy
from qharness.hosting.costs import estimated_energy, per_1000
from qharness.hosting.instances import Instance, find_instance, read_instances
from qharness.hosting.machine_load import machine_load, require_idle_cores
from qharness.hosting.measurement import Load, Measured, check_fits, measure_apart
from qharness.progress import note
from qharness.quantization.resolution import BoundModel, ResolvedModel, resolve
from qharness.results import CostProfile, Latency
from qharness.results.measured import BatchSpeed, InstanceRates, MachineLoad

DEFAULT_COUNTRY = "USA"
_NOISY = 0.1  # a share of the median between the quartiles, or of the cores in use by others, that is noted above this
RATIOS: Mapping[str, Callable[[CostProfile], float | None]] = {
    "latency_s": lambda profile: profile.latency_s.median,
    "tokens_per_s": lambda profile: profile.tokens_per_s,
    "storage_bytes": lambda profile: profile.storage_bytes,
    "resident_bytes": lambda profile: profile.resident_bytes,
    "usd_per_1k": lambda profile: profile.usd_per_1k,
    "gco2eq_per_1k": lambda profile: profile.gco2eq_per_1k,
}
"""Figures that are compared with full precision."""


@dataclass(frozen=True)
class ProfileSpec:
    """A model to profile, and how. `latency`: seconds a prediction, known already; nothing is measured then.

    `instance`: the machine by which dollars and energy that is not measured are reckoned; without one there are none.
    `energy`: `auto` measures power where that can be done, `measured` requires it, `estimated` goes by the instance.
    `anyway`: measure on a machine whose cores are all in use.
    """

    model: BoundModel
    latency: float | None = None
    instance: str | None = None
    instances: Path | None = None
    energy: str = "auto"
    country: str = DEFAULT_COUNTRY
    baseline: bool = True
    load: Load = field(default_factory=Load)
    anyway: bool = False

    def __post_init__(self) -> None:
        check_fields(self)


def profile(spec: ProfileSpec) -> CostProfile:
    """Measure a model, and its full precision if it is quantized: the cost of 1,000 predictions.

    Raises QHarnessError, before anything is loaded, for a mistake in the spec, and on a machine that is busy.
    """
    known = read_instances(spec.instances)
    instance = None if spec.instance is None else find_instance(spec.instance, known)
    if spec.energy == "estimated" and instance is None:
        raise QHarnessError("--energy estimated goes by an instance's power: --instance names one")
    if spec.country != DEFAULT_COUNTRY:  # though it may not be needed
        energy.check_country(spec.country)
    model = resolve(spec.model)
    _ = model.checkpoint.config  # one that does not exist is said now
    storage = _storage_bytes(model)
    if spec.latency is not None:
        if spec.energy == "measured":
            raise QHarnessError("--latency and --energy measured exclude each other: with --latency nothing is run")
        return _costs(spec, model, instance, storage, Measured(), "nothing was run")
    check_fits(model.checkpoint, spec.load)
    load, reason = _with_power(spec, model.spec.device)
    if not spec.anyway:
        require_idle_cores()
    found = _measured(spec, model, instance, storage, load, reason)
    if spec.baseline and model.spec.quant != "none":
        full = model.full_precision()
        try:
            baseline = _measured(spec, full, instance, _storage_bytes(full), load, reason)
        except QHarnessError as error:  # it may not fit where its quantized form does
            return dataclasses.replace(found, notes=[*found.notes, f"full precision could not be measured: {error}"])
        return dataclasses.replace(found, baseline=baseline, ratios=_ratios(found, baseline))
    return found


def _storage_bytes(model: ResolvedModel) -> int | None:
    from qharness.models.weight_footprint import checkpoint_figures

    return checkpoint_figures(model.checkpoint, model.quantizer).storage_bytes


def _with_power(spec: ProfileSpec, device: str) -> tuple[Load, str]:
    """The load with power measured or not, and the reason why it is not."""
    if spec.energy == "measured":
        energy.require_power_counter(device, spec.country)
    reason = "as asked" if spec.energy == "estimated" else energy.counter_missing_reason(device)
    if reason:
        return dataclasses.replace(spec.load, country=None), reason
    energy.check_country(spec.country)
    return dataclasses.replace(spec.load, country=spec.country), ""


def _measured(
    spec: ProfileSpec, model: ResolvedModel, instance: Instance | None, storage: int | None, load: Load, reason: str
) -> CostProfile:
    note(f"profiling {model.spec.quant} on {model.spec.model}, in a process of its own")
    before = machine_load()
    found = _costs(spec, model, instance, storage, measure_apart(model.spec, load), reason)
    return dataclasses.replace(found, load=before, notes=[*found.notes, *_noise(found.latency_s, before)])


def _noise(latency: Latency, load: MachineLoad | None) -> list[str]:
    """What may have made the measured latencies vary, or too long."""
    notes = []
    if latency.q1 is not None and latency.q3 is not None and latency.q3 - latency.q1 > _NOISY * latency.median:
        spread = 100 * (latency.q3 - latency.q1) / latency.median
        notes.append(f"latencies vary: their quartiles lie {spread:.0f}% of the median apart")
    if load is not None and load.tasks > _NOISY * load.cores:
        others = f"{load.tasks:.1f} other tasks on {load.cores} cores"
        notes.append(f"the machine was in use: {others} just before; latencies may be long")
    return notes


def _costs(
    spec: ProfileSpec,
    model: ResolvedModel,
    instance: Instance | None,
    storage: int | None,
    found: Measured,
    reason: str,
) -> CostProfile:
    """The profile of one model, measured or at a latency that is given; `reason`: why power was not measured."""
    latency = found.latency.get(1) or Latency(spec.latency or math.nan, None, None)
    seconds, new_tokens = latency.median, spec.load.new_tokens
    used = found.energy or (estimated_energy(seconds, instance, reason) if instance else None)
    grams, kwh = (used.gco2eq_per_kwh, used.kwh_per_1k) if used else (None, None)
    return CostProfile(
        model=model.spec.model,
        quantizer=model.spec.quant,
        calibration=model.spec.calib,
        device=model.spec.device,
        dtype=model.spec.dtype,
        prompt_tokens=spec.load.prompt_tokens,
        new_tokens=new_tokens,
        latency_s=latency,
        tokens_per_s=new_tokens / seconds,
        batches=[BatchSpeed(size, size * new_tokens / spread.median, spread) for size, spread in found.latency.items()],
        storage_bytes=storage,
        weight_bytes=found.weight_bytes,
        resident_bytes=found.resident_bytes,
        process_bytes=found.process_bytes,
        usd_per_1k=per_1000(seconds, instance.usd_per_hour) if instance else None,
        gco2eq_per_1k=None if grams is None or kwh is None else kwh * grams,
        energy=used,
        instance=spec.instance,
        instance_per_hour=InstanceRates(instance.usd_per_hour, instance.gco2eq_per_hour) if instance else None,
        threads=found.threads,
        layers=found.layers,
        quantization=found.quantization,
        notes=[] if used else [f"no dollars or CO2: no instance is named, and power was not measured: {reason}"],
    )


def _ratios(quantized: CostProfile, full: CostProfile) -> dict[str, float | None]:
    """A model's figures by its full precision's; None where either is unknown."""
    pairs = {name: (of(quantized), of(full)) for name, of in RATIOS.items()}
    return {name: a / b if a is not None and b else None for name, (a, b) in pairs.items()}
