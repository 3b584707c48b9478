"""HQQ as a quantizer, registered with qharness through the entry point in pyproject.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from qharness import QuantizationContext, Quantizer, SpecError, WeightBytes, hookimpl, option

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Bits of a weight -> (bytes of an integer as the library packs them, weights in it); hqq's BitPack.
PACKING: Mapping[int, tuple[int, int]] = {
    8: (1, 1), 6: (1, 1), 5: (1, 1), 4: (1, 2), 3: (4, 10), 2: (1, 4), 1: (1, 8),
}  # fmt: skip


@dataclass(frozen=True)
class Hqq:
    """Half-quadratic quantization of weights (Badri and Shaji 2023), by the library hqq."""

    name: ClassVar[str] = "hqq"
    needs_calibration: ClassVar[bool] = False
    batch_dependent: ClassVar[bool] = False

    bits: int = option(4, f"bits a weight, one of {', '.join(map(str, PACKING))}")
    group: int = option(64, "weights that share scale and zero point, a multiple of 8")

    def __post_init__(self) -> None:
        if self.bits not in PACKING:
            raise SpecError(f"hqq takes {', '.join(map(str, PACKING))} bits, not {self.bits}")
        if self.group < 8 or self.group % 8:
            raise SpecError(f"hqq's group must be a multiple of 8, not {self.group}")

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> PreTrainedModel:
        """Replace every Linear of the blocks. Raises ModelError for one that the group does not divide."""
        from qharness import block_linears, replace_module
        from qharness_hqq.layer import quantized

        for name, linear in block_linears(model).items():
            replace_module(model, name, quantized(name, linear, self.bits, self.group))
        return model

    def weight_bytes(self, layers: Mapping[str, tuple[int, int]], element_bytes: int) -> WeightBytes:
        """Sizes of layers (out, in): codes as the library packs them, a scale and a zero point for each group."""
        size, held = PACKING[self.bits]
        counts = [rows * columns for rows, columns in layers.values()]
        groups = [count // self.group for count in counts]
        scales = 2 * element_bytes * sum(groups)
        return WeightBytes(
            weights=sum(counts),
            codes=sum(-(-each // held) * self.group * size for each in groups),
            codebooks=0,
            scales=scales,
            packed=sum(-(-count * self.bits // 8) for count in counts) + scales,
            nominal_bits=self.bits,
        )


@hookimpl
def qharness_quantizers() -> list[type[Quantizer]]:
    """Offer `hqq`."""
    return [Hqq]
