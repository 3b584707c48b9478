"""How transformers is taught to load int8 checkpoints into our own Linears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from qharness import replace_module
from qharness.plugins.int8.checkpoint import METHOD
from qharness.plugins.int8.linear import Int8Linear

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@register_quantization_config(METHOD)
class Int8Settings(QuantizationConfigMixin):
    """The `quantization_config` of a checkpoint."""

    def __init__(self, per_column: bool, act_bits: int, static: list[str], kept: list[str], **_: Any) -> None:
        self.quant_method = METHOD  # type: ignore[assignment]
        self.per_column, self.act_bits, self.static, self.kept = per_column, act_bits, static, kept


@register_quantizer(METHOD)
class Int8Loader(HfQuantizer):
    """Puts empty Int8Linears into a model that has no weights yet, and packs them once they are there."""

    requires_calibration = True
    quantization_config: Int8Settings

    def _process_model_before_weight_loading(self, model: PreTrainedModel, **_: Any) -> None:
        kept, static = set(self.quantization_config.kept), set(self.quantization_config.static)
        for name, module in list(model.named_modules()):
            if isinstance(module, nn.Linear) and name not in kept:
                replace_module(model, name, self._empty(module, static=name in static))

    def _empty(self, linear: nn.Linear, *, static: bool) -> Int8Linear:
        settings = self.quantization_config
        with torch.device("meta"):
            return Int8Linear(
                torch.empty(linear.out_features, linear.in_features, dtype=torch.int8),
                torch.empty(linear.out_features if settings.per_column else 1, dtype=torch.float32),
                None if linear.bias is None else torch.empty_like(linear.bias),
                torch.empty(1, dtype=torch.float32) if static else None,
                settings.act_bits,
                linear.weight.dtype,
            )

    def _process_model_after_weight_loading(self, model: PreTrainedModel, **_: Any) -> PreTrainedModel:
        for module in model.modules():
            if isinstance(module, Int8Linear):
                module.pack()
        return model

    @property
    def is_trainable(self) -> bool:
        """Integers are not."""
        return False

    def is_serializable(self) -> bool:
        """Our own saving is used."""
        return False
