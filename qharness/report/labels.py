"""Short names for what runs are of: no longer than it takes to tell them apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from qharness.errors import QHarnessError
from qharness.registry import get_registry
from qharness.report.entries import Entry
from qharness.spec import Spec, parse, unbind

FULL_PRECISION = "full precision"
_SETTING = ("seed", "temperature", "top_p", "max_new_tokens", "device", "dtype")


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


def setting(entry: Entry) -> tuple[Any, ...]:
    """What else decides a run's completions besides model, quantizer, calibration set and task."""
    return tuple(getattr(entry.spec, name) for name in _SETTING)


class Labels:
    """Names for the models, quantizers, calibration sets and settings of these runs."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        registry = get_registry()
        models = {each for entry in entries for each in (entry.model, entry.checkpoint) if each}
        self._models = _last_parts(models)
        self._quants = _short({e.quant for e in entries}, registry.quantizer, keep_positional=True)
        self._calibs = _short({e.calib for e in entries if e.calib}, registry.calibration_set, keep_positional=False)
        seen: dict[str, set[tuple[Any, ...]]] = {}
        for entry in entries:
            seen.setdefault(entry.task, set()).add(setting(entry))
        self._vary = {task: [len(set(each)) > 1 for each in zip(*found, strict=True)] for task, found in seen.items()}

    def model(self, entry: Entry) -> str:
        """The model, and what else sets this run apart from others of its task: seed, temperature, device."""
        varying = self._vary.get(entry.task, [])
        apart = [
            f"{name.replace('_', ' ')} {value}"
            for name, value, varies in zip(_SETTING, setting(entry), varying, strict=False)
            if varies
        ]
        return ", ".join([self._models[entry.model], *apart])

    def quant(self, entry: Entry) -> str:
        """The quantizer, `full precision`, or the checkpoint that was quantized already."""
        if entry.full:
            return FULL_PRECISION
        own = [self._models[entry.checkpoint]] if entry.checkpoint else []
        return ", ".join([*own, *([self._quants[entry.quant]] if entry.quant != "none" else [])])

    def calib(self, entry: Entry) -> str:
        """The calibration set; empty where there is none."""
        return self._calibs[entry.calib] if entry.calib else ""

    def calibrated(self, entry: Entry) -> str:
        """The quantizer with its calibration set."""
        return f"{self.quant(entry)} on {self.calib(entry)}" if entry.calib else self.quant(entry)


def _last_parts(names: Iterable[str]) -> dict[str, str]:
    """Each path's last parts, as few as tell it from the others."""
    paths = {name: PurePosixPath(name).parts for name in sorted(names)}
    found: dict[str, str] = {}
    for name, parts in paths.items():
        for count in range(1, len(parts) + 1):
            tail = parts[-count:]
            if count == len(parts) or not any(other[-count:] == tail for n, other in paths.items() if n != name):
                found[name] = str(PurePosixPath(*tail))
                break
    return found


def _short(texts: Iterable[str], make: Callable[[str], Any], keep_positional: bool) -> dict[str, str]:
    """Spec texts without the options that all of them share, or all of one name where these are several.

    A label that would not be one spec's alone stays whole.
    """
    ordered = sorted(texts)
    whole = {text: _bound(text, make) for text in ordered}
    values = {text: options(text, make) for text in ordered}
    labels = {}
    for text, spec in whole.items():
        alike = [t for t in ordered if not keep_positional or whole[t].name == spec.name]
        if keep_positional and len(alike) == 1:
            labels[text] = str(spec)
            continue
        shared = {n for n, v in values[text].items() if all(values[t].get(n, _MISSING) == v for t in alike)}
        labels[text] = str(_without(spec, values[text], shared, keep_positional))
    counts = [*labels.values()]
    return {text: label if counts.count(label) == 1 else text for text, label in labels.items()}


_MISSING = object()


def _bound(text: str, make: Callable[[str], Any]) -> Spec:
    """The shortest spec of the plugin; the spec as it is written where the plugin is not installed."""
    try:
        return unbind(make(text))
    except QHarnessError:
        return parse(text)


def _without(spec: Spec, values: Mapping[str, Any], shared: set[str], keep_positional: bool) -> Spec:
    kwargs = tuple((name, value) for name, value in spec.kwargs if name not in shared)
    names = list(values)
    args = tuple(a for a, name in zip(spec.args, names, strict=False) if keep_positional or name not in shared)
    return Spec(spec.name, args, kwargs)
