"""The forms of int8 layers in the cache of quantized models: of our own, and of PyTorch's dynamic ones."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.ao.nn.quantized import dynamic

from qharness import LayerForm
from qharness.plugins.int8.linear import Int8Linear


def _write(layer: Int8Linear) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Write plain integers; `packed`: whether the packed form is held, `both`: whether the plain form is too."""
    tensors = {
        "weight": layer.int8_weight(),
        "weight_scale": layer.weight_scale,
        "input_scale": layer.input_scale,
        "bias": layer.bias,
    }
    settings = {
        "act_bits": layer.act_bits,
        "dtype": str(layer.dtype).removeprefix("torch."),
        "packed": layer.packed_bytes > 0,
        "both": layer.plain_weight is not None,
    }
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}, settings


def _read(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Int8Linear:
    layer = Int8Linear(
        tensors["weight"],
        tensors["weight_scale"],
        tensors.get("bias"),
        tensors.get("input_scale"),
        settings["act_bits"],
        getattr(torch, settings["dtype"]),
    )
    if settings["packed"]:
        layer.pack(keep=settings["both"])
    return layer


def _write_dynamic(layer: dynamic.Linear) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Write PyTorch's packed weight as integers, scales and zero points, of the matrix or of each row."""
    weight, bias = layer._packed_params._weight_bias()
    per_row = weight.qscheme() == torch.per_channel_affine
    if per_row:
        scale, zero = weight.q_per_channel_scales(), weight.q_per_channel_zero_points()
    else:
        scale = torch.tensor(weight.q_scale(), dtype=torch.float64)
        zero = torch.tensor(weight.q_zero_point(), dtype=torch.int64)
    tensors = {"integers": weight.int_repr(), "scale": scale, "zero": zero}
    return tensors if bias is None else tensors | {"bias": bias.detach()}, {"per_row": per_row}


def _read_dynamic(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> dynamic.Linear:
    integers, scale, zero = (tensors[name] for name in ("integers", "scale", "zero"))
    rows, columns = integers.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch is to lose its quantized tensors
        if settings["per_row"]:
            weight = torch._make_per_channel_quantized_tensor(integers, scale, zero, 0)
        else:
            weight = torch._make_per_tensor_quantized_tensor(integers, scale.item(), int(zero.item()))
        layer = dynamic.Linear(columns, rows, bias_="bias" in tensors)
        layer.set_weight_bias(weight, tensors.get("bias"))
    return layer


INT8_LINEAR = LayerForm(Int8Linear, _write, _read)
DYNAMIC_LINEAR = LayerForm(dynamic.Linear, _write_dynamic, _read_dynamic)
