"""The form of AqlmLinears in the cache of quantized models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from qharness import LayerForm
from qharness.plugins.aqlm.weight import AqlmLinear, QuantizedWeight


def _write(layer: AqlmLinear) -> tuple[dict[str, Tensor], dict[str, Any]]:
    bias = {} if layer.bias is None else {"bias": layer.bias}
    return {"codebooks": layer.codebooks, "codes": layer.codes, "scales": layer.scales, **bias}, {}


def _read(tensors: Mapping[str, Tensor], _: Mapping[str, Any]) -> AqlmLinear:
    weight = QuantizedWeight(tensors["codebooks"], tensors["codes"], tensors["scales"])
    return AqlmLinear(weight, tensors.get("bias"))


AQLM_LINEAR = LayerForm(AqlmLinear, _write, _read)
