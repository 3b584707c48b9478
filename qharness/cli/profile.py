"""`qharness profile`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from qharness.cli.options import (
    MEASUREMENT,
    MODEL,
    SAMPLING,
    VERDICT,
    AllowUntouched,
    Calib,
    DataDir,
    Device,
    Json,
    Model,
    Quant,
    RunDType,
    TrustRemoteCode,
    bounded,
)
from qharness.cli.output import echo, number, print_json, print_table, registry
from qharness.progress import note
from qharness.quantization.resolution import bind_model
from qharness.specs import DEFAULT_MODEL, ModelSpec

if TYPE_CHECKING:
    from qharness.results import CostProfile, EstimatedEnergy, MeasuredEnergy


def profile(
    model: Model = None,
    quant: Quant = "none",
    calib: Calib = None,
    latency: Annotated[
        float | None,
        bounded("latency", "Seconds a prediction, known already: nothing is run, only reckoned.", MEASUREMENT),
    ] = None,
    instance: Annotated[
        str | None,
        typer.Option(
            help="Machine by whose price and power dollars and CO2 are reckoned, as g4dn.xlarge.",
            rich_help_panel=MEASUREMENT,
        ),
    ] = None,
    instances: Annotated[
        Path | None,
        typer.Option(envvar="QHARNESS_INSTANCES", help="TOML file of more machines.", rich_help_panel=MEASUREMENT),
    ] = None,
    prompt_tokens: Annotated[int, bounded("prompt_tokens", "Tokens of a prompt.", MEASUREMENT)] = 128,
    new_tokens: Annotated[int, bounded("new_tokens", "Tokens that are generated.", MEASUREMENT)] = 20,
    batch_size: Annotated[list[int] | None, bounded("batch_size", "Repeat for several; 1, 4, 8, 16.", MODEL)] = None,
    repeats: Annotated[int, bounded("repeats", "Measurements of each batch size.", MEASUREMENT)] = 10,
    energy: Annotated[
        Literal["auto", "measured", "estimated"],
        typer.Option(help="auto: measured where there are counters.", rich_help_panel=MEASUREMENT),
    ] = "auto",
    country: Annotated[
        str, typer.Option(help="Whose grid measured energy is from, in three letters.", rich_help_panel=MEASUREMENT)
    ] = "USA",
    no_baseline: Annotated[
        bool, typer.Option("--no-baseline", help="Do not measure full precision as well.", rich_help_panel=VERDICT)
    ] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Measure though all cores are in use.", rich_help_panel=MEASUREMENT)
    ] = False,
    seed: Annotated[int, bounded("seed", "Of prompts and of calibration.", SAMPLING)] = 0,
    device: Device = "auto",
    dtype: RunDType = "auto",
    allow_untouched: AllowUntouched = False,
    trust_remote_code: TrustRemoteCode = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """What a model costs to host: latency, memory, size, and by an instance dollars and CO2 of 1,000 predictions."""
    registry()
    name = model or DEFAULT_MODEL
    bound = bind_model(ModelSpec(name, quant, calib, seed, device, dtype, data_dir, allow_untouched, trust_remote_code))
    from qharness.hosting import Load, ProfileSpec
    from qharness.hosting import profile as run_profile

    load = Load(prompt_tokens, new_tokens, tuple(batch_size or (1, 4, 8, 16)), repeats)
    found = run_profile(
        ProfileSpec(
            bound,
            latency=latency,
            instance=instance,
            instances=instances,
            energy=energy,
            country=country,
            baseline=not no_baseline,
            load=load,
            anyway=anyway,
        )
    )
    if json:
        print_json(found.document)
    else:
        _print(found)


def _print(profile: CostProfile) -> None:
    """Print the figures, beside full precision's and their ratio where there are any."""
    baseline, ratios = profile.baseline, profile.ratios
    columns = [profile] if baseline is None else [baseline, profile]
    rows = []
    for row in (*_ROWS, *_throughputs(profile)):
        if row.optional and all(row.value(each) is None for each in columns):
            continue
        values = [number(row.value(each), ".4g") for each in columns]
        rows.append(
            (row.name, *values, *([number(ratios.get(row.ratio), ".3f") if row.ratio else ""] if ratios else []))
        )
    echo(f"{profile.model}: {profile.prompt_tokens} + {profile.new_tokens} tokens, {profile.device}, {profile.dtype}")
    header = ["full precision" if each.quantizer == "none" else each.quantizer for each in columns]
    print_table(("", *header, *(["ratio"] if ratios else [])), rows)
    if sources := _sources(profile):
        echo("; ".join(sources))
    for each in dict.fromkeys(text for of in columns[::-1] for text in of.notes):
        note(f"note: {each}")


def _sources(profile: CostProfile) -> list[str]:
    """Where dollars and energy come from, where there are any."""
    dollars = [f"dollars: {profile.instance}"] if profile.instance else []
    return dollars + ([f"energy and CO2: {_energy_source(profile.energy)}"] if profile.energy else [])


def _energy_source(energy: EstimatedEnergy | MeasuredEnergy) -> str:
    from qharness.results import MeasuredEnergy

    if energy.kwh_per_1k is None:
        return "not known, for its power is not"
    if isinstance(energy, MeasuredEnergy):
        return energy.tool
    return f"estimated from its power ({energy.reason})"


@dataclass(frozen=True)
class _Row:
    """A row of the table: its name, its value of a profile, None where unknown, and the name of its ratio, if any.

    `optional`: the row is left out where it is unknown of all.
    """

    name: str
    value: Callable[[CostProfile], float | None]
    ratio: str = ""
    optional: bool = False


_ROWS = (
    _Row("latency, s", lambda of: of.latency_s.median, "latency_s"),
    _Row("  first quartile", lambda of: of.latency_s.q1),
    _Row("  third quartile", lambda of: of.latency_s.q3),
    _Row("on disk, MB", lambda of: _megabytes(of.storage_bytes), "storage_bytes"),
    _Row("weights in memory, MB", lambda of: _megabytes(of.resident_bytes), "resident_bytes"),
    _Row("process with its model, MB", lambda of: _megabytes(of.process_bytes.loaded if of.process_bytes else None)),
    _Row("tasks of others before measuring", lambda of: of.load.tasks if of.load else None, optional=True),
    _Row("1,000 predictions, $", lambda of: of.usd_per_1k, "usd_per_1k", optional=True),
    _Row("1,000 predictions, kWh", lambda of: of.energy.kwh_per_1k if of.energy else None, optional=True),
    _Row("1,000 predictions, g CO2eq", lambda of: of.gco2eq_per_1k, "gco2eq_per_1k", optional=True),
)


def _throughputs(profile: CostProfile) -> list[_Row]:
    return [
        _Row(f"tokens/s, batch {each.size}", partial(_throughput, each.size), "tokens_per_s" if each.size == 1 else "")
        for each in profile.batches
    ]


def _throughput(size: int, profile: CostProfile) -> float | None:
    return next((each.tokens_per_s for each in profile.batches if each.size == size), None)


def _megabytes(size: int | None) -> float | None:
    return None if size is None else size / 1e6
