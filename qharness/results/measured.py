"""What measuring a model found: what `profile` says it costs to host, and what `noise` says quantizing it does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from qharness.storage.json_codec import LEFT_OUT, Figure, JsonRecord


@dataclass(frozen=True)
class Latency:
    """Median and quartiles of `n` durations, in seconds; quartiles are None where nothing was measured."""

    median: float
    q1: float | None
    q3: float | None
    n: int | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True)
class BatchSpeed:
    """Tokens a second of a whole batch of `size` prompts, which are read anew each time, and the batch's latency."""

    size: int
    tokens_per_s: float
    latency_s: Latency


@dataclass(frozen=True)
class ProcessBytes:
    """Bytes of the process before the model was loaded, with it, and at most; `device_peak`: at most on a GPU."""

    before: int
    loaded: int
    peak: int
    device_peak: int | None = None


@dataclass(frozen=True)
class PowerPart:
    """Watts of one part of the machine; `source` is `measured` by a counter or `estimated`."""

    watts: float
    source: str


@dataclass(frozen=True)
class EstimatedEnergy:
    """Energy of 1,000 predictions from an instance's power at half load, as `from_` says it; None where unknown.

    `pue`: what the data centre takes for each watt. `reason`: why power was not measured.
    """

    source: Literal["estimated"]
    kwh_per_1k: float | None
    watts: float | None
    pue: float
    gco2eq_per_kwh: float | None
    from_: Annotated[str | None, Field(alias="from")]
    reason: str = ""


@dataclass(frozen=True)
class MeasuredEnergy:
    """Energy of 1,000 predictions by the machine's mean power over `seconds` of work.

    `parts`: watts of cpu, gpu and ram. `country`: that of the grid. `tool`: what measured, and its version.
    """

    source: Literal["measured"]
    kwh_per_1k: float
    watts: float
    gco2eq_per_kwh: float
    country: str
    parts: Mapping[str, PowerPart]
    seconds: float
    tool: str


@dataclass(frozen=True)
class InstanceRates:
    """Dollars and grams of CO2 (or what warms as much) of an hour of an instance; None where unknown."""

    usd: float | None = None
    gco2eq: float | None = None


@dataclass(frozen=True)
class MachineLoad:
    """How busy the machine was with other work just before a model was measured.

    `tasks`: those that ran or waited for a core, on average over a second. `average_1min`: the load average.
    """

    tasks: float
    average_1min: float
    cores: int


@dataclass(frozen=True)
class CostProfile(JsonRecord):
    """What one model costs to host: the document of `profile`. None where unknown or not measured.

    `latency_s`: of one prediction. `instance`: the machine by whose price and power dollars and grams are reckoned;
    None where none was named: there are no dollars then, and energy and grams only where power was measured.
    `layers`: quantized layers by kernel. `quantization`: the quantizer's log. `load`: of the machine, before measuring.
    `baseline`: the same model in full precision; `ratios`: this model's figures by the baseline's.
    """

    model: str
    quantizer: str
    calibration: str | None
    device: str
    dtype: str
    prompt_tokens: int
    new_tokens: int
    latency_s: Latency
    tokens_per_s: float
    batches: Sequence[BatchSpeed]
    storage_bytes: int | None
    weight_bytes: int | None
    resident_bytes: int | None
    process_bytes: ProcessBytes | None
    usd_per_1k: float | None
    gco2eq_per_1k: float | None
    energy: EstimatedEnergy | MeasuredEnergy | None
    instance: str | None
    instance_per_hour: InstanceRates | None = None
    threads: int | None = None
    layers: Mapping[str, int] = field(default_factory=dict)
    quantization: Sequence[str] = ()
    notes: Sequence[str] = ()
    load: MachineLoad | None = None
    baseline: CostProfile | None = field(default=None, metadata=LEFT_OUT)
    ratios: Mapping[str, float | None] | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True)
class FiveNumbers:
    """Least value, quartiles and greatest."""

    min: float
    q1: float
    median: float
    q3: float
    max: float


@dataclass(frozen=True)
class ActivationMaxima:
    """The spread of max|x| of a layer's input, over tokens and over input sequences; None of nothing."""

    tokens: FiveNumbers | None
    inputs: FiveNumbers | None


@dataclass(frozen=True)
class LayerReport:
    """One layer: its block, that block's place in a forward pass, from 1, and its noise, as ratios of energies."""

    name: str
    block: str
    depth: int
    weight_noise: Figure
    activation_noise: Figure
    accumulated_noise: Figure
    activation_max: ActivationMaxima


@dataclass(frozen=True)
class InputSet:
    """The set whose sequences were run, whether they were held out from calibration, and how many there were."""

    set: str | None = None
    held_out: bool | None = None
    sequences: int | None = None
    tokens: int | None = None


@dataclass(frozen=True)
class MeanNoise:
    """Noise of weights and of activations, means over the layers that have one; NaN where none has."""

    weight_noise: Figure = math.nan
    activation_noise: Figure = math.nan


@dataclass(frozen=True, kw_only=True)
class NoiseReport(JsonRecord):
    """The noise of one quantizer on one model: the document of `noise`."""

    model: str
    parameters: int | None = None
    dtype: str | None = None
    seed: int | None = None
    inputs: InputSet = InputSet()
    quantizer: str
    calibration: str | None = None
    mean: MeanNoise
    layers: Sequence[LayerReport]
