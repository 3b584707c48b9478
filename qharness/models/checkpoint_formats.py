"""Formats of checkpoints that are already quantized, and the kernels that run their layers."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import torch

from qharness.api.quantizers import CheckpointFormat, RenamedCheckpointFormat
from qharness.bounds import parse_number
from qharness.registry import get_registry

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

MEMORY = "QHARNESS_UNPACK_MB"
_MEMORY_SHARE = 0.5  # of the free memory; keys and values need some too


@dataclass(frozen=True)
class WeightFootprint:
    """Bytes of a model's weights before any were unpacked to run faster, and the number of layers by kernel."""

    weight_bytes: int
    layers: Mapping[str, int]


def formats() -> Iterator[CheckpointFormat]:
    """Yield the formats of the installed quantizers, each once."""
    found: dict[str, CheckpointFormat] = {}
    for entry in get_registry().quantizers.values():
        checkpoint = getattr(entry.value, "checkpoint", None)
        _accept_settle(type(checkpoint))
        if isinstance(checkpoint, CheckpointFormat):
            found.setdefault(checkpoint.quant_method, checkpoint)
    yield from found.values()


def _accept_settle(kind: Any) -> None:
    """Give a format class that still names the method `settle` the name `select_kernels`, with a warning."""
    if hasattr(kind, "settle") and not hasattr(kind, "select_kernels"):
        warnings.warn(f"{kind.__qualname__}.settle is now called select_kernels", DeprecationWarning, stacklevel=2)
        kind.select_kernels = kind.settle


def _quantization_settings(config: PretrainedConfig) -> dict[str, object] | None:
    """A checkpoint's `quantization_config`; None if it is not quantized."""
    for each in (config, config.get_text_config(decoder=True)):
        settings: Any = getattr(each, "quantization_config", None)
        if settings is not None:
            return dict(settings if isinstance(settings, Mapping) else settings.to_dict())
    return None


def quant_method(config: PretrainedConfig) -> str | None:
    """The name of the method by which a checkpoint is quantized; None if it is not."""
    settings = _quantization_settings(config)
    if settings is None:
        return None
    method = settings.get("quant_method", "unknown")
    return str(getattr(method, "value", method))


def check_loads(config: PretrainedConfig) -> None:
    """Raise ValueError for a method that transformers does not know: it would make weights up instead."""
    from transformers.quantizers.auto import AutoHfQuantizer

    settings = _quantization_settings(config)
    if settings is not None and not AutoHfQuantizer.supports_quant_method(settings):
        raise ValueError(f"it is quantized by {quant_method(config)}, which this version of transformers does not load")


def find_format(config: PretrainedConfig) -> CheckpointFormat | None:
    """The format of a quantized checkpoint; None if it is not quantized, or no quantizer has its format."""
    method = quant_method(config)
    return next((each for each in formats() if method in (each.quant_method, *_former(each))), None)


def _former(checkpoint: CheckpointFormat) -> Sequence[str]:
    return checkpoint.former_methods if isinstance(checkpoint, RenamedCheckpointFormat) else ()


def select_kernels(model: nn.Module) -> dict[str, int]:
    """Let each format choose its layers' kernels, in half of the free memory or QHARNESS_UNPACK_MB megabytes.

    Returns how many layers run by each kernel.
    """
    memory = _memory(next(model.parameters()).device)
    kernels = Counter[str]()
    for each in formats():
        kernels.update(each.select_kernels(model, memory))
    return dict(kernels)


def _memory(device: torch.device) -> int:
    megabytes = parse_number("unpack_mb", os.environ.get(MEMORY) or "auto", MEMORY, word="auto")
    if megabytes is not None:
        return int(megabytes) * 10**6
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * _MEMORY_SHARE)
    return int(psutil.virtual_memory().available * _MEMORY_SHARE)
