"""A quantizer of transformers that loads AQLM checkpoints into our own Linears, from packed or plain codes.

transformers' own needs the package `aqlm`, whose Linears have no `weight` for T5 to read, and whose kernel races. Both
classes are registered under a name that no checkpoint has; `AqlmCheckpoint.load` puts it in place of `aqlm`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.quantizers.quantizers_utils import should_convert_module
from transformers.utils.quantization_config import QuantizationConfigMixin

from qharness import replace_module
from qharness.plugins.aqlm.packing import packed_bytes, unpack
from qharness.plugins.aqlm.weight import AqlmLinear, QuantizedWeight, code_dtype, wrap

if TYPE_CHECKING:
    from transformers import PreTrainedModel

METHOD = "qharness-aqlm"


@register_quantization_config(METHOD)
class AqlmSettings(QuantizationConfigMixin):
    """The `quantization_config` of a checkpoint, under our name. `unquantized`: Linears that are not quantized."""

    def __init__(self, unquantized: list[str], books: int, bits: int, group: int, packed: bool, **_: Any) -> None:
        self.quant_method = METHOD  # type: ignore[assignment]
        self.unquantized, self.books, self.bits, self.group, self.packed = unquantized, books, bits, group, packed


@register_quantizer(METHOD)
class AqlmLoader(HfQuantizer):
    """Puts empty AqlmLinears into a model that has no weights yet, and unpacks codes once they are there."""

    requires_calibration = True
    quantization_config: AqlmSettings

    def _process_model_before_weight_loading(self, model: PreTrainedModel, **_: Any) -> None:
        settings = self.quantization_config
        for name, module in list(model.named_modules()):
            if isinstance(module, nn.Linear) and should_convert_module(name, settings.unquantized):
                replace_module(model, name, _empty(module, settings))

    def _process_model_after_weight_loading(self, model: PreTrainedModel, **_: Any) -> PreTrainedModel:
        for module in model.modules():
            if isinstance(module, AqlmLinear) and self.quantization_config.packed:
                shape: list[int] = module.get_buffer("codes_shape").tolist()
                del module.codes_shape
                bits = module.quantized.bits
                module.codes = wrap(unpack(module.codes, bits, tuple(shape)), bits)
        return model

    @property
    def is_trainable(self) -> bool:
        """Say yes: codebooks and scales can be trained."""
        return True

    def is_serializable(self) -> bool:
        """Say no: AqlmCheckpoint saves."""
        return False


def _empty(linear: nn.Linear, settings: AqlmSettings) -> AqlmLinear:
    """Make an AqlmLinear on the meta device, with the shapes of the checkpoint's tensors for this Linear."""
    rows, columns = linear.out_features, linear.in_features
    shape = rows, columns // settings.group, settings.books
    with torch.device("meta"):
        weight = QuantizedWeight(
            torch.empty(settings.books, 1 << settings.bits, 1, settings.group, dtype=linear.weight.dtype),
            torch.empty(shape, dtype=code_dtype(settings.bits)),
            torch.empty(rows, 1, 1, 1, dtype=linear.weight.dtype),
        )
        module = AqlmLinear(weight, None if linear.bias is None else torch.empty_like(linear.bias))
        if settings.packed:
            count = packed_bytes(rows * shape[1] * shape[2], settings.bits)
            module.codes = torch.empty(count, dtype=torch.uint8)
            module.register_buffer("codes_shape", torch.empty(3, dtype=torch.int32))
    return module
