"""The arithmetic of int8 Linear layers: symmetric scales, exact integer products."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_LEVELS = 127  # symmetric: -127 .. 127


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Round each row of `x` [rows, n] to int8 on a symmetric grid of its own.

    Returns q int8 [rows, n] and scale float32 [rows, 1] with q * scale ~ x; a row of zeros has scale 0.
    """
    x = x.float()
    scale = x.abs().amax(dim=1, keepdim=True) / _LEVELS
    inverse = torch.where(scale > 0, 1 / scale, torch.zeros_like(scale))
    return (x * inverse).round_().clamp_(-_LEVELS, _LEVELS).to(torch.int8), scale


def quantize_tensor(x: Tensor) -> tuple[Tensor, Tensor]:
    """The same with one scale, float32 [1, 1], for the whole of `x` [rows, n]."""
    q, scale = quantize_rows(x.reshape(1, -1))
    return q.reshape(x.shape), scale


def int8_matmul(x: Tensor, weight: Tensor) -> Tensor:
    """x int8 [rows, in] times weight int8 [out, in] transposed: int32 [rows, out], exact.

    CUDA's kernel takes more than 16 rows, in multiples of 8; fewer are padded.
    """
    if x.device.type != "cuda":
        return torch._int_mm(x, weight.t())
    rows = x.shape[0]
    padded = max(-(-rows // 8) * 8, 24)
    return torch._int_mm(nn.functional.pad(x, (0, 0, 0, padded - rows)), weight.t())[:rows]


class Int8DynamicLinear(nn.Module):
    """y = (q_x q_w^T) s_x s_w + b with one activation scale a row, so that rows do not depend on each other.

    weight int8 [out, in]; weight_scale float32 [out, 1] (per column) or [1, 1] (per tensor); bias [out] or None.
    """

    weight: Tensor
    weight_scale: Tensor
    bias: Tensor | None

    def __init__(self, weight: Tensor, weight_scale: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.register_buffer("weight", weight)
        self.register_buffer("weight_scale", weight_scale)
        self.register_buffer("bias", bias)

    @classmethod
    def from_linear(cls, linear: nn.Linear, *, per_column: bool) -> Int8DynamicLinear:
        """Quantize a Linear's weight; the bias is kept as it is."""
        weight, scale = (quantize_rows if per_column else quantize_tensor)(linear.weight.detach())
        return cls(weight, scale, None if linear.bias is None else linear.bias.detach())

    def dequantized_weight(self) -> Tensor:
        """The weight [out, in], float32."""
        return self.weight.float() * self.weight_scale

    def quantized_input(self, x: Tensor) -> Tensor:
        """x [..., in] rounded to each row's own grid."""
        q, scale = quantize_rows(x.reshape(-1, self.in_features))
        return (q.float() * scale).to(x.dtype).reshape(x.shape)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., in] of any float dtype to [..., out] of the same."""
        rows = x.reshape(-1, self.in_features)
        q, scale = quantize_rows(rows)
        y = int8_matmul(q, self.weight).float() * scale * self.weight_scale.t()
        if self.bias is not None:
            y = y + self.bias.float()
        return y.to(x.dtype).reshape(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """Shown by `print(model)`."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
