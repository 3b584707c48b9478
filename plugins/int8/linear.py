"""A Linear layer that multiplies integer weights with integer activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from qharness import LazyWeight
from qharness.plugins.int8 import products
from qharness.plugins.int8.integer_grid import WeightGrid
from qharness.plugins.int8.products import PackedWeight, WeightOfHalves
from qharness.plugins.int8.ranges import levels_of

_TINY = 1e-30  # the scale of a row of zeros, so that it is divided by something
_MANY_ROWS = 48  # from which a CPU with matrix tiles is faster on the plain weight
_PIECE = 64  # rows whose sums are scaled at a time, to stay in the cache


class Int8Linear(nn.Module):
    """Computes y = (sum of q_x q_w) s_w s_x + b; no row depends on another.

    weight int8 [out, in]; weight_scale float32 [out] or [1]; bias [out] or None. Activations are rounded to
    -levels .. levels, in a scale of each row's own (dynamic), or in `input_scale`, float32 [1] (static).

    The buffer `weight` is None while FBGEMM's packed form stands for it; `state_dict` has it all the same. Scales are
    float32 in any model; `dtype` is the model's.
    """

    weight_scale: Tensor
    input_scale: Tensor | None
    bias: Tensor | None
    _packed: PackedWeight | WeightOfHalves | None

    def __init__(
        self,
        weight: Tensor,
        weight_scale: Tensor,
        bias: Tensor | None,
        input_scale: Tensor | None,
        act_bits: int = 8,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.act_bits, self.levels, self.dtype = act_bits, levels_of(act_bits), dtype
        self._buffers["weight"] = weight
        self.register_buffer("weight_scale", weight_scale)
        self.register_buffer("input_scale", input_scale)
        self.register_buffer("bias", bias)
        self.register_module("_packed", None)

    @classmethod
    def from_linear(
        cls, linear: nn.Linear, grid: WeightGrid, act_bits: int = 8, input_range: float | None = None
    ) -> Int8Linear:
        """Quantize a Linear's weight, not its bias. `input_range`: the greatest magnitude of static activations."""
        weight, scale = grid.quantize(linear.weight.detach())
        static = None
        if input_range is not None:
            static = torch.tensor([max(input_range, _TINY) / levels_of(act_bits)], device=weight.device)
        bias = None if linear.bias is None else linear.bias.detach()
        return cls(weight, scale, bias, static, act_bits, linear.weight.dtype)

    # -------------------------------------------------------------------------------------------------- arithmetic

    def forward(self, x: Tensor) -> Tensor:
        """Map x [..., in] of any float dtype to [..., out] of the same dtype."""
        rows = x.reshape(-1, x.shape[-1]).float()
        scale = self._scale(rows)
        y = self._product(self._round(rows, scale))
        if self.input_scale is not None or torch._C._is_tracing() or len(y) <= _PIECE:
            self._finish_(y, scale)
        else:
            for part, part_scale in zip(y.split(_PIECE), scale.split(_PIECE), strict=True):
                self._finish_(part, part_scale)
        return y.view(*x.shape[:-1], self.out_features).to(x.dtype)

    def _finish_(self, y: Tensor, scale: Tensor) -> None:
        """Scale y [rows, out] in place and add the bias, each rounded once."""
        y.mul_(scale)
        bias = self.bias
        if bias is not None:
            y.add_(bias)

    def _scale(self, rows: Tensor) -> Tensor:
        """Return the activations' scale, float32 [rows, 1] or [1]."""
        scale = self.input_scale
        if scale is not None:
            return scale
        return rows.abs().amax(dim=1, keepdim=True).mul(1 / self.levels).clamp_min(_TINY)

    def _round(self, rows: Tensor, scale: Tensor) -> Tensor:
        """Return integers as float32 [rows, in].

        With a scale of its own no row has greater ones than its levels, and nothing is in place: a record then computes
        once what layers of one input have in common.
        """
        q = (rows / scale).round()
        return q if self.input_scale is None else q.clamp_(-self.levels, self.levels)

    def _product(self, q: Tensor) -> Tensor:
        weight = self.plain_weight
        packed = self._packed
        if packed is not None and (weight is None or torch._C._is_tracing() or len(q) < _MANY_ROWS):
            return packed.product(q)
        return products.plain_product(q, self.int8_weight(), self.weight_scale)

    @property
    def weight(self) -> Tensor:
        """Return the dequantized weight in the model's dtype, computed when it is used, for models that read it."""
        shape = (self.out_features, self.in_features)
        return LazyWeight(lambda: self.dequantized_weight().to(self.dtype), shape, self.dtype, self.weight_scale.device)

    def dequantized_weight(self) -> Tensor:
        """Return the weight that it multiplies with, float32 [out, in]."""
        return self.int8_weight().float() * self.weight_scale[:, None]

    def quantized_input(self, x: Tensor) -> Tensor:
        """Return activations [..., in] after rounding, in their own dtype."""
        rows = x.reshape(-1, self.in_features).float()
        scale = self._scale(rows)
        return (self._round(rows, scale) * scale).to(x.dtype).view(x.shape)

    # ------------------------------------------------------------------------------------------------------- forms

    @property
    def plain_weight(self) -> Tensor | None:
        """Return the weight int8 [out, in], or None where only the packed form is held."""
        return self._buffers["weight"]

    def int8_weight(self) -> Tensor:
        """Return the weight int8 [out, in], unpacked if need be."""
        plain = self.plain_weight
        if plain is not None:
            return plain
        assert self._packed is not None
        return self._packed.unpacked()

    @property
    def packed_bytes(self) -> int:
        """Return about how many bytes the packed form takes: one a weight."""
        return 0 if self._packed is None else self.out_features * self.in_features

    def pack(self, *, keep: bool = False) -> None:
        """Pack the weight where it is on a CPU that can run it. `keep`: hold the plain form beside it."""
        plain = self.plain_weight
        if (
            self._packed is None
            and plain is not None
            and plain.device.type == "cpu"
            and (form := products.packed_form())
        ):
            self._packed = form(plain, self.weight_scale)
        if self._packed is not None:
            self._buffers["weight"] = self.int8_weight() if keep else None

    def unpack(self) -> None:
        """Hold the plain form only."""
        self._buffers["weight"] = self.int8_weight()
        self._packed = None

    def kernel(self) -> str:
        """Name the kernel that multiplies."""
        if self._packed is not None:
            return f"int8, {self._packed.kernel}" + ("" if self.plain_weight is None else " or plain")
        return "int8, plain" if products.exact(self.int8_weight().device.type) else "int8, simulated"

    # ------------------------------------------------------------------------------------------------------- state

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Int8Linear:
        """Move the layer or change its dtype: scales stay float32, and a packed weight is packed anew on a CPU."""
        packed, both = self._packed is not None, self.plain_weight is not None
        self.dtype = fn(torch.empty(0, dtype=self.dtype, device=self.weight_scale.device)).dtype
        if packed:
            self.unpack()
        scales = self.weight_scale, self.input_scale
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, scale in zip(("weight_scale", "input_scale"), scales, strict=True):
            if scale is not None and getattr(self, name).dtype != scale.dtype:
                setattr(self, name, scale.to(getattr(self, name).device))
        if packed:
            self.pack(keep=both)
        return self

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "weight"] = self.int8_weight()

    def __getstate__(self) -> dict[str, Any]:
        """Return the plain form, and whether to pack it again: `packed` is None, or whether both forms are held."""
        packed = None if self._packed is None else self.plain_weight is not None
        buffers = {**self._buffers, "weight": self.int8_weight()}
        return {**self.__dict__, "_modules": {"_packed": None}, "_buffers": buffers, "packed": packed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        both = state.pop("packed")
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if both is not None:
            self.pack(keep=both)

    def extra_repr(self) -> str:
        """Describe the layer for `print(model)`."""
        kind = "dynamic" if self.input_scale is None else "static"
        shape = f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        return f"{shape}, {kind}, {self.kernel()}"
