"""`qharness noise`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qharness.cli.completion import complete_calibration_set, complete_model, complete_quantizer
from qharness.cli.options import (
    MODEL,
    OUTPUT,
    SAMPLING,
    TASK,
    AllowUntouched,
    DataDir,
    Device,
    Json,
    RunDType,
    TrustRemoteCode,
    bounded,
)
from qharness.cli.output import echo, number, print_json, print_table, registry
from qharness.quantization.resolution import bind_model
from qharness.specs import DEFAULT_MODEL, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qharness.results import NoiseReport
    from qharness.results.measured import FiveNumbers


def noise(
    quant: Annotated[
        list[str],
        typer.Option(
            help="Quantizer, as NAME[:OPTIONS]; may be repeated.",
            rich_help_panel=MODEL,
            autocompletion=complete_quantizer,
        ),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Hugging Face id, local folder, GGUF file, or tinycoder, the default; may be repeated.",
            rich_help_panel=MODEL,
            autocompletion=complete_model,
        ),
    ] = None,
    calib: Annotated[
        str | None,
        typer.Option(
            help="Calibration set, for quantizers that need one and for the inputs.",
            rich_help_panel=MODEL,
            autocompletion=complete_calibration_set,
        ),
    ] = None,
    inputs: Annotated[
        str | None,
        typer.Option(
            help="Run on this calibration set's sequences, not on held-out ones of --calib.",
            rich_help_panel=TASK,
            autocompletion=complete_calibration_set,
        ),
    ] = None,
    seed: Annotated[int, bounded("seed", "Of calibration, inputs and the quantizer's draws.", SAMPLING)] = 0,
    device: Device = "auto",
    dtype: RunDType = "auto",
    allow_untouched: AllowUntouched = False,
    trust_remote_code: TrustRemoteCode = False,
    data_dir: DataDir = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for noise.json, layers.csv and figures.", rich_help_panel=OUTPUT)
    ] = None,
    json: Json = False,
) -> None:
    """Quantization noise of weights and activations, layer by layer, and how it accumulates with depth."""
    registry()
    asked = [
        bind_model(
            ModelSpec(
                quant=each,
                calib=calib,
                seed=seed,
                device=device,
                dtype=dtype,
                data_dir=data_dir,
                allow_untouched=allow_untouched,
                trust_remote_code=trust_remote_code,
            )
        )
        for each in dict.fromkeys(quant)
    ]
    from qharness.evaluate.run.lm_eval_bridge import quiet
    from qharness.noise.noise_measurement import NoiseInputs, measure_noise
    from qharness.noise.noise_output import check_output, write_noise

    if output is not None:
        check_output(output)
    drawn = NoiseInputs.of(calib, inputs)
    with quiet():
        reports = [
            report
            for name in dict.fromkeys(model or [DEFAULT_MODEL])
            for report in measure_noise([each.named(name) for each in asked], drawn)
        ]
        if output is not None:
            write_noise(reports, output)
    if json:
        documents = [report.document for report in reports]
        print_json(documents[0] if len(documents) == 1 else documents)
        return
    for report in reports:
        print_noise(report)
    if len(reports) > 1:
        print_summary(reports)
    if output is not None:
        echo(f"noise.json, layers.csv and figures: {output}")


def print_noise(report: NoiseReport) -> None:
    """Print a row a layer, and the means."""
    inputs, mean = report.inputs, report.mean
    echo(
        f"{report.model}: {report.quantizer}, on {inputs.sequences} sequences ({inputs.tokens} tokens) of {inputs.set}"
    )
    rows = [
        (
            layer.name,
            str(layer.depth),
            *map(_ratio, (layer.weight_noise, layer.activation_noise, layer.accumulated_noise)),
            *_spread(layer.activation_max.tokens),
        )
        for layer in report.layers
    ]
    means = ("mean", "", _ratio(mean.weight_noise), _ratio(mean.activation_noise), *[""] * 6)
    header = ("layer", "depth", "weight", "activation", "accumulated", "max|x|: min", "q1", "median", "q3", "max")
    print_table(header, [*rows, means])


def print_summary(reports: Sequence[NoiseReport]) -> None:
    """Print a row a model and quantizer: the means, and the noise that has accumulated after the last block."""
    rows = [
        (
            each.model,
            each.quantizer,
            *map(_ratio, (each.mean.weight_noise, each.mean.activation_noise, each.layers[-1].accumulated_noise)),
        )
        for each in reports
    ]
    print_table(("model", "quantizer", "weight, mean", "activation, mean", "accumulated at the end"), rows, settings=2)


def _spread(of: FiveNumbers | None) -> list[str]:
    found = (of.min, of.q1, of.median, of.q3, of.max) if of else [None] * 5
    return [number(each, ".3g") for each in found]


def _ratio(value: float) -> str:
    return number(value, ".2e")
