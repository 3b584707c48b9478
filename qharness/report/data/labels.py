"""Short names for what runs are of: no longer than it takes to tell them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from qharness.registry import get_registry
from qharness.report.data.finished_runs import FULL, FinishedRun
from qharness.report.data.spec_options import options, shortest
from qharness.spec import Spec, show
from qharness.visible_text import visible

FULL_PRECISION = "full precision"
_SETTING = ("seed", "temperature", "top_p", "max_new_tokens", "samples", "limit", "device", "dtype")
_MISSING = object()


def setting(entry: FinishedRun) -> tuple[Any, ...]:
    """What else decides a run's completions besides model, quantizer, calibration set and task."""
    return tuple(getattr(entry.spec, name) for name in _SETTING)


class Labels:
    """Names for the models, quantizers, calibration sets and benchmarks of these runs.

    `shown`: those that have to be told apart by their settings, all by default. `besides`: model and quantizer of what
    else a report shows, as profiles.
    """

    def __init__(
        self,
        entries: Sequence[FinishedRun],
        shown: Sequence[FinishedRun] | None = None,
        besides: Sequence[tuple[str, str]] = (),
    ) -> None:
        registry = get_registry()
        models = {each for e in entries for each in (e.model, e.checkpoint) if each}
        self._models = _last_parts(models | {model for model, _ in besides})
        quants = {e.quant for e in entries} | {quant for _, quant in besides}
        self._quants = _short(quants, registry.quantizer, keep_positional=True)
        self._calibs = _short({e.calib for e in entries if e.calib}, registry.calibration_set, keep_positional=False)
        tasks = {e.task: (e.benchmark, e.language) for e in entries}
        shared = Counter(tasks.values())
        self._clashing = {e.task for e in entries if shared[e.benchmark, e.language] > 1}
        self._vary = _varying(entries if shown is None else shown)

    def benchmark(self, entry: FinishedRun) -> str:
        """The task without its language; with it, where two tasks would be one."""
        return entry.task if entry.task in self._clashing else entry.benchmark

    def short(self, model: str) -> str:
        """A model's name alone."""
        return self._models[model]

    def quantizer(self, text: str) -> str:
        """A quantizer's spec alone."""
        return FULL_PRECISION if text == FULL else self._quants[text]

    def model(self, entry: FinishedRun) -> str:
        """The model, and what else sets this run apart from others of its task: seed, temperature, device."""
        return ", ".join([self.short(entry.model), *self.apart(entry)])

    def apart(self, entry: FinishedRun) -> tuple[str, ...]:
        """What sets a run apart from others of its benchmark besides its model and how that is quantized."""
        varying = self._vary.get((entry.benchmark, entry.perturbation), set())
        parts = zip(_SETTING, setting(entry), strict=True)
        return tuple(_said(name, value) for name, value in parts if name in varying)

    def quant(self, entry: FinishedRun) -> str:
        """The quantizer, `full precision`, or the checkpoint that was quantized already."""
        if entry.checkpoint is None:
            return self.quantizer(entry.quant)
        own = self.short(entry.checkpoint)
        return own if entry.quant == FULL else f"{own}, {self._quants[entry.quant]}"

    def calib(self, entry: FinishedRun) -> str:
        """The calibration set; empty where there is none."""
        return self._calibs[entry.calib] if entry.calib else ""

    def calibrated(self, entry: FinishedRun) -> str:
        """The quantizer with its calibration set."""
        return f"{self.quant(entry)} on {self.calib(entry)}" if entry.calib else self.quant(entry)


def _varying(entries: Iterable[FinishedRun]) -> dict[tuple[str, str], set[str]]:
    """The settings in which runs of a task differ, by benchmark and perturbation: what one language needs, all get."""
    found: dict[tuple[str, str], dict[str, list[set[Any]]]] = {}
    for entry in entries:
        tasks = found.setdefault((entry.benchmark, entry.perturbation), {})
        seen = tasks.setdefault(entry.task, [set() for _ in _SETTING])
        for values, value in zip(seen, setting(entry), strict=True):
            values.add(value)
    return {
        key: {name for seen in tasks.values() for name, values in zip(_SETTING, seen, strict=True) if len(values) > 1}
        for key, tasks in found.items()
    }


def _said(name: str, value: Any) -> str:
    if name == "limit":
        return "all problems" if value is None else f"{value} problems"
    return f"{name.replace('_', ' ')} {value}"


def _last_parts(names: Iterable[str]) -> dict[str, str]:
    """Each path's last parts, as few as tell it from the others."""
    paths = {name: PurePosixPath(name).parts for name in sorted(names)}
    found = {}
    for name, parts in paths.items():
        others = [other for n, other in paths.items() if n != name]
        counts = range(1, len(parts) + 1)
        least = next((n for n in counts if not any(other[-n:] == parts[-n:] for other in others)), len(parts))
        found[name] = visible(str(PurePosixPath(*parts[-least:])))
    return found


def _short(texts: Iterable[str], make: Callable[[str], Any], keep_positional: bool) -> dict[str, str]:
    """Spec texts without the options that all of them share.

    With `keep_positional`, specs of each name are looked at by themselves, and keep the options they begin with.
    A label that would be another spec's too stays whole.
    """
    ordered = sorted(texts)
    specs = {text: shortest(text, make) for text in ordered}
    values = {text: options(text, make) for text in ordered}
    labels = {}
    for text, spec in specs.items():
        alike = [t for t in ordered if not keep_positional or specs[t].name == spec.name]
        shared = {n for n, v in values[text].items() if all(values[t].get(n, _MISSING) == v for t in alike)}
        if keep_positional and len(alike) == 1:
            labels[text] = str(spec)
        elif keep_positional:
            labels[text] = str(_without(_with_first(spec, values[text], shared), values[text], shared, True))
        else:
            labels[text] = str(_without(spec, values[text], shared, False))
    counts = Counter(labels.values())
    return {text: visible(label if counts[label] == 1 else text) for text, label in labels.items()}


def _with_first(spec: Spec, values: Mapping[str, Any], shared: set[str]) -> Spec:
    """With its first option written, also where that is the default, if it is what specs differ in."""
    first = next(iter(values), None)
    if spec.args or first is None or first in (*shared, *dict(spec.kwargs)) or values[first] is None:
        return spec
    return Spec(spec.name, (show(values[first]),), spec.kwargs)


def _without(spec: Spec, values: Mapping[str, Any], shared: set[str], keep_positional: bool) -> Spec:
    kwargs = tuple((name, _file(value)) for name, value in spec.kwargs if name not in shared)
    args = (a for a, name in zip(spec.args, values, strict=False) if keep_positional or name not in shared)
    return Spec(spec.name, tuple(map(_file, args)), kwargs)


def _file(value: str) -> str:
    """A path's last part; other values as they are."""
    return PurePosixPath(value).name or value
