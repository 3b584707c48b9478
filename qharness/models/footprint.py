"""How many bytes a model's weights take."""

from __future__ import annotations

from torch import Tensor, nn


def resident_bytes(model: nn.Module) -> int:
    """Bytes of all parameters and buffers, shared ones once, PyTorch's packed quantized weights included."""
    seen: dict[int, int] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        seen[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
    total = sum(seen.values())
    for module in model.modules():
        packed = getattr(module, "weight", None)
        if callable(packed) and isinstance(weight := packed(), Tensor):
            total += weight.numel() * weight.element_size()
    return total
