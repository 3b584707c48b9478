"""`qharness footprint`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from qharness.cli.options import DType, Json, Model, Quant, TrustRemoteCode
from qharness.cli.output import echo, number, print_json, print_table, registry, size
from qharness.specs import DEFAULT_MODEL

if TYPE_CHECKING:
    from qharness.models.weight_footprint import BitsPerParam, CheckpointFootprint, GgufFootprint


def footprint(
    quant: Quant = "none",
    model: Model = None,
    dtype: DType = "auto",
    trust_remote_code: TrustRemoteCode = False,
    json: Json = False,
) -> None:
    """What a quantized model takes on disk, from its configuration or GGUF header alone: no weights are needed."""
    quantizer = registry().quantizer(quant)
    from qharness.models.checkpoint import Checkpoint
    from qharness.models.weight_footprint import footprint as measured

    found = measured(Checkpoint(model or DEFAULT_MODEL, trust_remote_code), quantizer, dtype)
    if json:
        print_json(asdict(found))
    else:
        print_footprint(found)


def print_footprint(found: CheckpointFootprint) -> None:
    """Print a table of bytes by part, and of bits per quantized weight; before it, one of a GGUF file as it is."""
    if found.gguf:
        print_gguf(found.model, found.gguf)
    rows = [
        ("codes", size(found.codes_bytes)),
        ("codebooks", size(found.codebooks_bytes)),
        ("scales", size(found.scales_bytes)),
        ("not quantized", size(found.unquantized_bytes)),
        ("total", size(found.total_bytes)),
        ("total, codes packed", size(found.packed_total_bytes)),
    ]
    dequantized = "dequantized, then " if found.gguf else ""
    echo(f"{found.model}: {dequantized}{found.quantizer}, {found.dtype}")
    print_table(("", ""), [*rows, *_bits(found.bits_per_param)])


def print_gguf(model: str, found: GgufFootprint) -> None:
    """Print a table of a GGUF file's bytes by type and part, and of bits per weight of its blocks' matrices."""
    rows = [(f"tensors of {kind}", size(count)) for kind, count in found.type_bytes.items()]
    parts = [
        ("matrices of the blocks", size(found.weight_bytes)),
        ("embeddings, head and the rest", size(found.unquantized_bytes)),
        ("total", size(found.file_bytes)),
    ]
    echo(f"{model}: the file as it is")
    print_table(("", ""), [*rows, *parts, *_bits(found.bits_per_param)])


def _bits(found: BitsPerParam) -> list[tuple[str, str]]:
    return [(f"bits a weight, {name}", number(value, ".3f")) for name, value in asdict(found).items()]
