"""Full precision: no quantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from qharness import QuantizationContext, Quantizer, hookimpl

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class NoQuantization:
    """Full precision: the model as it is."""

    name: ClassVar[str] = "none"
    needs_calibration: ClassVar[bool] = False
    batch_dependent: ClassVar[bool] = False

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> PreTrainedModel:
        """Return `model` itself."""
        return model


@hookimpl
def qharness_quantizers() -> list[type[Quantizer]]:
    """Offer `none`."""
    return [NoQuantization]
