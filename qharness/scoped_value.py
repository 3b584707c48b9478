"""Values of context variables that hold inside a `with` block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

_Value = TypeVar("_Value")


@contextmanager
def scoped(variable: ContextVar[_Value], value: _Value) -> Iterator[None]:
    """Give a variable this value inside, and the one before afterwards."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
