"""A quantizer of transformers that loads int8 checkpoints into our own Linears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from qharness import replace_module
from qharness.plugins.int8.linear import Int8Linear
from qharness.plugins.int8.schemes import METHOD, Scheme, Schemes

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@register_quantization_config(METHOD)
class Int8Settings(QuantizationConfigMixin):
    """The `quantization_config` that a checkpoint is loaded with: its schemes."""

    def __init__(self, groups: list[dict[str, Any]], ignore: list[str], flat: bool, **_: Any) -> None:
        self.quant_method = METHOD  # type: ignore[assignment]
        self.groups, self.ignore, self.flat = groups, ignore, flat


@register_quantizer(METHOD)
class Int8Loader(HfQuantizer):
    """Puts empty Int8Linears into a model that has no weights yet, and packs them once they are there."""

    requires_calibration = True
    quantization_config: Int8Settings

    def _process_model_before_weight_loading(self, model: PreTrainedModel, **_: Any) -> None:
        settings = self.quantization_config
        schemes = Schemes.of_document(settings.groups, settings.ignore, settings.flat)
        for name, module in list(model.named_modules()):
            if isinstance(module, nn.Linear) and (scheme := schemes.of(name, module)):
                replace_module(model, name, _empty(module, scheme, flat=schemes.flat))

    def _process_model_after_weight_loading(self, model: PreTrainedModel, **_: Any) -> PreTrainedModel:
        for module in model.modules():
            if isinstance(module, Int8Linear):
                module.weight_scale = module.weight_scale.flatten()
                module.pack()
        return model

    @property
    def is_trainable(self) -> bool:
        """Say no: integers cannot be trained."""
        return False

    def is_serializable(self) -> bool:
        """Say no: Int8Checkpoint saves."""
        return False


def _empty(linear: nn.Linear, scheme: Scheme, *, flat: bool) -> Int8Linear:
    """Make an Int8Linear on the meta device, with the shapes of the checkpoint's tensors for this Linear."""
    rows = (linear.out_features,) if flat else (linear.out_features, 1)
    with torch.device("meta"):
        return Int8Linear(
            torch.empty(linear.out_features, linear.in_features, dtype=torch.int8),
            torch.empty(rows if scheme.per_column else (1,), dtype=torch.float32),
            None if linear.bias is None else torch.empty_like(linear.bias),
            torch.empty(1, dtype=torch.float32) if scheme.static else None,
            scheme.act_bits,
            linear.weight.dtype,
        )
