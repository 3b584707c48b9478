"""Functions that keep their branches and loops where a model's step is recorded."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

import torch

_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


def scripted_in_traces(function: Callable[_Given, _Made]) -> Callable[_Given, _Made]:
    """The function, run as TorchScript while PyTorch traces, for a trace keeps what was done for the traced rows.

    It must be TorchScript, so it reads no number of its module's.
    """
    scripted = cache(lambda: torch.jit.script(function))

    @wraps(function)
    def either(*args: _Given.args, **kwargs: _Given.kwargs) -> _Made:
        run: Callable[_Given, _Made] = scripted() if torch._C._is_tracing() else function
        return run(*args, **kwargs)

    return either
