"""Finds differences in how two models are built: modules, shapes, attributes; the values of tensors aside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

_LOADING = (
    "_is_hf_initialized",
    "_load_state_dict",
    "hf_device_map",
    "_loading",
    "_use_kernels",
    "_weight_conversions",
)
_PARTS = ("_parameters", "_buffers", "_modules")
_PLAIN = (str, bytes, int, float, complex, bool, type(None), torch.dtype, torch.Size)


def difference(one: nn.Module, other: nn.Module, leave_out: Mapping[str, object]) -> str | None:
    """The first difference between two models, in words, or None; modules to `leave_out` may differ inside."""
    theirs = dict(_modules(other, leave_out))
    for name, module in _modules(one, leave_out):
        twin = theirs.pop(name, None)
        if twin is None or type(twin) is not type(module):
            return f"{name} is a {type(module).__name__}, and a new model has {_kind(twin)} there"
        if name in leave_out:
            continue
        if _shapes(module) != _shapes(twin):
            return f"{name or type(module).__name__} has other tensors than a new {type(module).__name__}"
        if attribute := _attribute(module, twin):
            return f"{name or 'the model'} has an attribute {attribute} that is another in a new model"
    return f"{next(iter(theirs))} is missing" if theirs else None


def _modules(model: nn.Module, leave_out: Mapping[str, object]) -> Iterator[tuple[str, nn.Module]]:
    inside = tuple(f"{name}." for name in leave_out)
    return (
        (name, module) for name, module in model.named_modules(remove_duplicate=False) if not name.startswith(inside)
    )


def _kind(module: nn.Module | None) -> str:
    return "nothing" if module is None else f"a {type(module).__name__}"


def _shapes(module: nn.Module) -> list[dict[str, torch.Size | None]]:
    parts = (module._parameters, module._buffers)
    return [{name: None if each is None else each.shape for name, each in part.items()} for part in parts]


def _attribute(module: nn.Module, twin: nn.Module) -> str | None:
    """The first attribute that one of them does not have, or has with another value."""
    own, others = ({k: v for k, v in each.__dict__.items() if k not in _PARTS} for each in (module, twin))
    for name in sorted(own.keys() | others.keys()):
        if name.startswith(_LOADING):
            continue
        if name not in own or name not in others or not _alike(own[name], others[name]):
            return name
    return None


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are the same as far as can be seen: objects of unknown kinds by their class alone."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        if one.is_meta or other.is_meta:
            return False
        return one.dtype == other.dtype and torch.equal(one.cpu(), other.cpu())
    if isinstance(one, _PLAIN):
        return bool(one == other) or one != one  # both are NaN
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, set | frozenset):
        return bool(one == other)
    return getattr(one, "__qualname__", None) == getattr(other, "__qualname__", None)
