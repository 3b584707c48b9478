"""`qharness quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from qharness.cli.completion import complete_quantizer
from qharness.cli.defaults_file import read_defaults
from qharness.cli.options import (
    MODEL,
    OUTPUT,
    SAMPLING,
    AllowUntouched,
    Calib,
    DataDir,
    DType,
    Json,
    Model,
    TrustRemoteCode,
    bounded,
)
from qharness.cli.output import echo, print_json, registry, size
from qharness.errors import QHarnessError
from qharness.quantization.resolution import bind_model
from qharness.specs import DEFAULT_MODEL, ModelSpec


def quantize(
    output: Annotated[
        Path, typer.Option(help="Folder to write, which must not exist or be empty.", rich_help_panel=OUTPUT)
    ],
    quant: Annotated[
        str | None,
        typer.Option(help="Quantizer, as NAME[:OPTIONS].", rich_help_panel=MODEL, autocompletion=complete_quantizer),
    ] = None,
    model: Model = None,
    calib: Calib = None,
    unpack: Annotated[
        Path | None, typer.Option(help="Instead: write this packed checkpoint as a plain one.", rich_help_panel=MODEL)
    ] = None,
    seed: Annotated[int, bounded("seed", "Of calibration and of the quantizer's draws.", SAMPLING)] = 0,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="Where it is quantized.", rich_help_panel=MODEL)
    ] = "auto",
    dtype: DType = "auto",
    allow_untouched: AllowUntouched = False,
    trust_remote_code: TrustRemoteCode = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Quantize a model and write a checkpoint with its tokenizer; says who loads it, and its size."""
    if unpack is not None:
        if quant or calib or model != read_defaults().model:
            raise QHarnessError("--unpack takes a checkpoint as it is: --model, --quant and --calib do not go with it")
        from qharness.quantization.checkpoint_export import unpack_checkpoint

        written = unpack_checkpoint(unpack, output, trust_remote_code)
    else:
        if quant is None:
            raise QHarnessError("quantize needs --quant SPEC, or --unpack DIR")
        registry()
        name = model or DEFAULT_MODEL
        bound = bind_model(
            ModelSpec(name, quant, calib, seed, device, dtype, data_dir, allow_untouched, trust_remote_code)
        )
        from qharness.evaluate.run.lm_eval_bridge import quiet
        from qharness.quantization.checkpoint_export import export_checkpoint

        with quiet():
            written = export_checkpoint(bound, output)
    if json:
        print_json(written.document())
        return
    echo(f"checkpoint: {output}")
    if written.quantizer is not None:
        echo(f"loads in:   {written.readers or 'unknown: its quantizer does not say'}")
    echo(f"weights:    {size(written.bytes_before)} before, {size(written.bytes_after)} after")
