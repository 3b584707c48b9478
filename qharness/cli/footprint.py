"""`qharness footprint`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from qharness.cli.options import DType, Json, Model, TrustRemoteCode
from qharness.cli.output import echo, number, print_json, print_table, registry, size
from qharness.specs import DEFAULT_MODEL


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

    document = measured(Checkpoint(model or DEFAULT_MODEL, trust_remote_code), quantizer, dtype)
    if json:
        print_json(document)
    else:
        print_footprint(document)


def print_footprint(document: dict[str, Any]) -> None:
    """Bytes by part, and bits a quantized weight."""
    rows = [
        (name, size(document[f"{key}_bytes"]))
        for name, key in (
            ("codes", "codes"),
            ("codebooks", "codebooks"),
            ("scales", "scales"),
            ("not quantized", "unquantized"),
            ("total", "total"),
            ("total, codes packed", "packed_total"),
        )
    ]
    bits = [(f"bits a weight, {name}", number(value, ".3f")) for name, value in document["bits_per_param"].items()]
    echo(f"{document['model']}: {document['quantizer']}, {document['dtype']}")
    print_table(("", ""), [*rows, *bits])
