"""`qharness footprint`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from qharness.cli.options import DType, Json, Model, TrustRemoteCode
from qharness.cli.output import echo, number, print_json, print_table, registry, size
from qharness.specs import DEFAULT_MODEL

if TYPE_CHECKING:
    from qharness.models.weight_footprint import CheckpointFootprint


def footprint(
    quant: Annotated[str, typer.Option(help="Quantizer, as NAME[:OPTIONS]; none is full precision.")],
    model: Model = None,
    dtype: DType = "auto",
    trust_remote_code: TrustRemoteCode = False,
    json: Json = False,
) -> None:
    """What a quantized model takes on disk, from its configuration alone: no weights are needed."""
    quantizer = registry().quantizer(quant)
    from qharness.models.checkpoint import Checkpoint
    from qharness.models.weight_footprint import footprint as measured

    found = measured(Checkpoint(model or DEFAULT_MODEL, trust_remote_code), quantizer, dtype)
    if json:
        print_json(asdict(found))
    else:
        print_footprint(found)


def print_footprint(found: CheckpointFootprint) -> None:
    """Print a table of bytes by part, and of bits per quantized weight."""
    rows = [
        ("codes", size(found.codes_bytes)),
        ("codebooks", size(found.codebooks_bytes)),
        ("scales", size(found.scales_bytes)),
        ("not quantized", size(found.unquantized_bytes)),
        ("total", size(found.total_bytes)),
        ("total, codes packed", size(found.packed_total_bytes)),
    ]
    bits = [(f"bits a weight, {name}", number(value, ".3f")) for name, value in asdict(found.bits_per_param).items()]
    echo(f"{found.model}: {found.quantizer}, {found.dtype}")
    print_table(("", ""), [*rows, *bits])
