"""What a quantized layer multiplies with, and what it makes of its input, as far as that can be seen from outside."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from qharness.api.quantizers import QuantizedLinear

_PROBE_ROWS = 256
_PROPORTIONAL = 1e-5  # float32 rounding is well below this, a rounded activation well above
_AGREEING = 0.25  # an activation in 4 bits errs by less, integer codes without their scale by very much more


def effective_weight(module: nn.Module, shape: torch.Size, device: torch.device) -> Tensor | None:
    """The weight [out, in] that a layer computes with, in float; None where it cannot be found.

    `shape`: of the original weight. Asked of the layer where it is a `QuantizedLinear`; else read from its `weight`;
    else found by running it.
    """
    if isinstance(module, QuantizedLinear):
        return module.dequantized_weight().detach()
    for way in (_stated, _probed):
        weight = way(module, shape, device)
        if weight is not None and weight.shape == shape and weight.is_floating_point():
            return weight.detach()
    return None


def seen_input(module: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """The function by which a layer quantizes its input before it multiplies; None where it cannot be found."""
    if isinstance(module, QuantizedLinear):
        return module.quantized_input
    return (lambda x: x) if _is_plain(module) else None


def _is_plain(module: nn.Module) -> bool:
    """An `nn.Linear` itself with an ordinary weight: a library's tensor subclass may quantize activations too."""
    return type(module) is nn.Linear and type(module.weight) in (Tensor, nn.Parameter)


def _stated(module: nn.Module, shape: torch.Size, device: torch.device) -> Tensor | None:
    """The layer's `weight`: an ordinary one, PyTorch's quantized tensor, or a subclass that can be dequantized.

    None where the layer's output is another than that of this weight: a subclass may hold codes, and scales elsewhere.
    """
    if _is_plain(module):
        weight: Tensor = module.weight  # type: ignore[assignment]
        return weight
    packed = getattr(module, "weight", None)
    found = packed() if callable(packed) else packed
    if not isinstance(found, Tensor) or (type(found) in (Tensor, nn.Parameter) and not found.is_quantized):
        return None  # codes, perhaps
    try:
        weight = found.dequantize()
        return weight if weight.shape == shape and _multiplies_with(module, weight, device) else None
    except (NotImplementedError, RuntimeError, ValueError, TypeError):
        return None


def _multiplies_with(module: nn.Module, weight: Tensor, device: torch.device) -> bool:
    """Whether the layer's output for random rows is about what this weight gives."""
    rows = torch.randn(16, weight.shape[1], generator=torch.Generator().manual_seed(0)).to(device, weight.dtype)
    with torch.no_grad():
        found = (module(rows) - module(torch.zeros_like(rows))).float()
        expected = rows.float() @ weight.float().to(device).t()
    return bool((found - expected).norm() <= _AGREEING * expected.norm())


def _probed(module: nn.Module, shape: torch.Size, device: torch.device) -> Tensor | None:
    """The layer's output for unit vectors, less that for zeros; None where vectors of another length disagree.

    They do where a fixed activation scale rounds or cuts them off.
    """
    try:
        one, other = (_answers(module, shape[1], size, device) for size in (1.0, 0.3))
    except (RuntimeError, ValueError, TypeError):
        return None
    if not one.shape or (one - other).norm() > _PROPORTIONAL * one.norm():
        return None
    return one


def _answers(module: nn.Module, width: int, size: float, device: torch.device) -> Tensor:
    """(module(size * I) - module(0)) / size, transposed: [out, in], float32."""
    with torch.no_grad():
        nothing = module(torch.zeros(1, width, device=device))
        rows = [
            (module(size * torch.eye(width, device=device)[start : start + _PROBE_ROWS]) - nothing).float() / size
            for start in range(0, width, _PROBE_ROWS)
        ]
    return torch.cat(rows).t()
