"""A weight that is computed when it is used, for layers that hold codes instead of weights.

Some models read a Linear's `weight`: T5 its dtype, Mamba to multiply with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

_DESCRIBED = ("dtype", "device", "shape", "layout", "ndim", "requires_grad", "is_cuda", "is_cpu", "is_meta", "grad_fn")
_ASKED = (Tensor.size, Tensor.dim, Tensor.numel, Tensor.is_floating_point, Tensor.element_size, Tensor.__len__)
_WITHOUT_VALUES = frozenset([*(getattr(Tensor, name).__get__ for name in _DESCRIBED), *_ASKED])


class LazyWeight(Tensor):
    """A tensor of known shape, dtype and device whose values `compute()` returns at each use.

    Every operation on it is one on the computed tensor, gradients included. Nothing is cached.
    """

    _compute: Callable[[], Tensor]
    _is_hf_initialized: ClassVar[bool] = True  # so that transformers, loading a checkpoint, gives it no random values

    @staticmethod
    def __new__(
        cls: type[Self],
        compute: Callable[[], Tensor],
        shape: tuple[int, ...],
        dtype: torch.dtype,
        device: torch.device | None = None,
    ) -> Self:
        """`compute` returns a tensor of this shape, dtype and device."""
        where = device or torch.device("cpu")
        made = Tensor._make_wrapper_subclass(cls, torch.Size(shape), dtype=dtype, device=where)
        made._compute = compute
        return made

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> Any:
        """Answer from shape, dtype and device, or run the operation on the computed tensor."""
        with torch._C.DisableTorchFunctionSubclass():
            if func in _WITHOUT_VALUES:
                return func(*args, **(kwargs or {}))
            values, named = tree_map(_computed, (args, dict(kwargs or {})))
            return func(*values, **named)

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        func: Callable[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> Any:
        """Run an operation from within PyTorch on the computed tensor."""
        values, named = tree_map(_computed, (args, dict(kwargs or {})))
        return func(*values, **named)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        """Shape and dtype, without values."""
        return f"LazyWeight(shape={tuple(self.shape)}, dtype={self.dtype})"


def _computed(value: Any) -> Any:
    return value._compute() if isinstance(value, LazyWeight) else value
