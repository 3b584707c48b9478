"""`qharness profile`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from qharness.cli.options import AllowUntouched, DataDir, Device, Json, Model, RunDType, TrustRemoteCode, bounded
from qharness.cli.output import echo, number, print_json, print_table, registry
from qharness.progress import note
from qharness.quantization.resolution import bind_model
from qharness.specs import DEFAULT_MODEL, ModelSpec


def profile(
    model: Model = None,
    quant: Annotated[str, typer.Option(help="Quantizer, as NAME[:OPTIONS]; none is full precision.")] = "none",
    calib: Annotated[str | None, typer.Option(help="Calibration set, for quantizers that need one.")] = None,
    latency: Annotated[
        float | None, bounded("latency", "Seconds a prediction, known already: nothing is run, only reckoned.")
    ] = None,
    instance: Annotated[
        str | None, typer.Option(help="Machine whose price and power count; p3dn.24xlarge by default.")
    ] = None,
    instances: Annotated[
        Path | None, typer.Option(envvar="QHARNESS_INSTANCES", help="TOML file of more machines.")
    ] = None,
    prompt_tokens: Annotated[int, bounded("prompt_tokens", "Tokens of a prompt.")] = 128,
    new_tokens: Annotated[int, bounded("new_tokens", "Tokens that are generated.")] = 20,
    batch_size: Annotated[list[int] | None, bounded("batch_size", "Repeat for several; 1, 4, 8, 16.")] = None,
    repeats: Annotated[int, bounded("repeats", "Measurements of each batch size.")] = 10,
    energy: Annotated[
        Literal["auto", "measured", "estimated"], typer.Option(help="auto: measured where there are counters.")
    ] = "auto",
    country: Annotated[str, typer.Option(help="Whose grid measured energy is from, in three letters.")] = "USA",
    no_baseline: Annotated[bool, typer.Option("--no-baseline", help="Do not measure full precision as well.")] = False,
    seed: Annotated[int, bounded("seed", "Of prompts and of calibration.")] = 0,
    device: Device = "auto",
    dtype: RunDType = "auto",
    allow_untouched: AllowUntouched = False,
    trust_remote_code: TrustRemoteCode = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """What a model costs to host: latency, memory, size, dollars and CO2 of 1,000 predictions."""
    registry()
    name = model or DEFAULT_MODEL
    bound = bind_model(ModelSpec(name, quant, calib, seed, device, dtype, data_dir, allow_untouched, trust_remote_code))
    from qharness.hosting import DEFAULT_INSTANCE, Load, ProfileSpec
    from qharness.hosting import profile as run_profile

    load = Load(prompt_tokens, new_tokens, tuple(batch_size or (1, 4, 8, 16)), repeats)
    document = run_profile(
        ProfileSpec(
            bound,
            latency=latency,
            instance=instance or DEFAULT_INSTANCE,
            instances=instances,
            energy=energy,
            country=country,
            baseline=not no_baseline,
            load=load,
        )
    )
    if instance is None and latency is None:
        note(f"note: dollars are of {DEFAULT_INSTANCE} at the latency of this machine; --instance names another")
    if json:
        print_json(document)
    else:
        _print(document)


def _print(document: dict[str, Any]) -> None:
    """The figures, beside full precision's and their ratio where there are any."""
    baseline, ratios = document.get("baseline"), document.get("ratios")
    columns = [document] if baseline is None else [baseline, document]
    rows = []
    for name, path, ratio in (*_FIGURES, *_throughputs(document)):
        values = [number(_figure(each, path), ".4g") for each in columns]
        rows.append((name, *values, *([number(ratios.get(ratio), ".3f") if ratio else ""] if ratios else [])))
    echo(
        f"{document['model']}: {document['prompt_tokens']} + {document['new_tokens']} tokens, {document['device']}, "
        f"{document['dtype']}"
    )
    header = ["full precision" if each["quantizer"] == "none" else each["quantizer"] for each in columns]
    print_table(("", *header, *(["ratio"] if ratios else [])), rows)
    used = document["energy"]
    by = used.get("tool") or f"estimated from its power ({used['reason']})"
    if used["kwh_per_1k"] is None:
        by = "not known, for its power is not"
    echo(f"dollars: {document['instance']}; energy and CO2: {by}")
    for each in document["notes"]:
        note(f"note: {each}")


_FIGURES: tuple[tuple[str, tuple[str | int, ...], str], ...] = (  # what it is called, where it stands, its ratio
    ("latency, s", ("latency_s", "median"), "latency_s"),
    ("  first quartile", ("latency_s", "q1"), ""),
    ("  third quartile", ("latency_s", "q3"), ""),
    ("on disk, MB", ("storage_bytes",), "storage_bytes"),
    ("weights in memory, MB", ("resident_bytes",), "resident_bytes"),
    ("process with its model, MB", ("process_bytes", "loaded"), ""),
    ("1,000 predictions: $", ("usd_per_1k",), "usd_per_1k"),
    ("  kWh", ("energy", "kwh_per_1k"), ""),
    ("  g CO2eq", ("gco2eq_per_1k",), "gco2eq_per_1k"),
)


def _throughputs(document: dict[str, Any]) -> list[tuple[str, tuple[str | int, ...], str]]:
    sizes = [each["size"] for each in document["batches"]]
    return [
        (f"tokens/s, batch {size}", ("batches", place, "tokens_per_s"), "tokens_per_s" if size == 1 else "")
        for place, size in enumerate(sizes)
    ]


def _figure(document: dict[str, Any], path: tuple[str | int, ...]) -> float | None:
    """A figure by its path; bytes in megabytes, None where it or what it stands in is unknown."""
    value: Any = document
    for step in path:
        value = None if value is None else value[step]
    scale = 1e6 if "bytes" in str(path[0]) else 1
    return None if value is None else float(value) / scale
