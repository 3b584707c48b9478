"""The options in the spec texts of runs, whether or not the plugin that a text names is installed here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from qharness.errors import QHarnessError
from qharness.registry import get_registry
from qharness.spec import Spec, parse, unbind

MakePlugin = Callable[[str], object]
"""The registry's function that makes a plugin from a spec text."""


def options(text: str, make: MakePlugin) -> dict[str, object]:
    """The options of a spec, by name; only the written ones where its plugin is not installed."""
    try:
        plugin = make(text)
    except QHarnessError:
        spec = parse(text)
        return {**{str(n): value for n, value in enumerate(spec.args)}, **dict(spec.kwargs)}
    return (
        {f.name: getattr(plugin, f.name) for f in dataclasses.fields(plugin)}
        if dataclasses.is_dataclass(plugin)
        else {}
    )


def quantizer_options(text: str) -> dict[str, object]:
    """The options of a quantizer's spec."""
    return options(text, get_registry().quantizer)


def calibration_options(text: str) -> dict[str, object]:
    """The options of a calibration set's spec."""
    return options(text, get_registry().calibration_set)


def shortest(text: str, make: MakePlugin) -> Spec:
    """The shortest spec of the plugin; the spec as it is written where the plugin is not installed."""
    try:
        return unbind(make(text))
    except QHarnessError:
        return parse(text)


def without(text: str, names: Sequence[str]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A quantizer's name and its options besides `names`: equal for specs that differ in those only."""
    others = {name: repr(value) for name, value in quantizer_options(text).items() if name not in names}
    return parse(text).name, tuple(sorted(others.items()))


def count_unusual(text: str, names: Sequence[str]) -> int:
    """How many of these options a quantizer's spec has at another value than the default."""
    given, offer = quantizer_options(text), get_registry().quantizers.get(parse(text).name)
    if offer is None:
        return sum(name in given for name in names)
    defaults = {f.name: f.default for f in dataclasses.fields(offer.value)}  # type: ignore[arg-type]
    return sum(name in names and value != defaults.get(name) for name, value in given.items())
