"""What spec texts of runs say, whether or not the plugin they name is installed here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from qharness.errors import QHarnessError
from qharness.registry import get_registry
from qharness.spec import Spec, parse, unbind


def options(text: str, make: Callable[[str], Any]) -> dict[str, Any]:
    """The options of a spec, by name; those that are written, where its plugin is not installed."""
    try:
        plugin = make(text)
        return {f.name: getattr(plugin, f.name) for f in dataclasses.fields(plugin)}
    except QHarnessError:
        spec = parse(text)
        return {**{str(n): value for n, value in enumerate(spec.args)}, **dict(spec.kwargs)}


def quantizer_options(text: str) -> dict[str, Any]:
    """The options of a quantizer's spec."""
    return options(text, get_registry().quantizer)


def calibration_options(text: str) -> dict[str, Any]:
    """The options of a calibration set's spec."""
    return options(text, get_registry().calibration_set)


def shortest(text: str, make: Callable[[str], Any]) -> Spec:
    """The shortest spec of the plugin; the spec as it is written where the plugin is not installed."""
    try:
        return unbind(make(text))
    except QHarnessError:
        return parse(text)


def without(text: str, names: Sequence[str]) -> tuple[Any, ...]:
    """What a quantizer's spec says besides these options: equal for specs that differ in them only."""
    kept = {name: repr(value) for name, value in quantizer_options(text).items() if name not in names}
    return parse(text).name, *sorted(kept.items())


def unusual(text: str, names: Sequence[str]) -> int:
    """How many of these options a quantizer's spec has at another value than the default."""
    entry = get_registry().quantizers.get(parse(text).name)
    if entry is None:
        return sum(name in quantizer_options(text) for name in names)
    defaults = {f.name: f.default for f in dataclasses.fields(entry.value)}  # type: ignore[arg-type]
    return sum(name in names and value != defaults.get(name) for name, value in quantizer_options(text).items())
