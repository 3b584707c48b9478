"""Short names for models, quantizers, calibration sets and tasks: as long as it takes to tell them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from qharness.registry import get_registry
from qharness.report.data.finished_runs import FULL, FinishedRun
from qharness.report.data.spec_options import MakePlugin, options, shortest
from qharness.spec import Spec, show
from qharness.specs import RAW
from qharness.visible_text import visible

FULL_PRECISION = "full precision"
_MISSING = object()


class Labels:
    """Names for the models, quantizers, calibration sets and benchmarks of these runs.

    `shown`: the runs that have to be told apart by their settings, by default all. `others`: (model, quantizer) pairs
    that a report names besides its runs, those of profiles and noise reports.
    """

    def __init__(
        self,
        runs: Sequence[FinishedRun],
        shown: Sequence[FinishedRun] | None = None,
        others: Sequence[tuple[str, str]] = (),
    ) -> None:
        registry = get_registry()
        models = {each for run in runs for each in (run.model, run.checkpoint) if each}
        self._models = _last_parts(models | {model for model, _ in others})
        quants = {run.quant for run in runs} | {quant for _, quant in others}
        self._quants = _quantizer_labels(quants, registry.quantizer)
        self._calibs = _calibration_labels({run.calib for run in runs if run.calib}, registry.calibration_set)
        tasks = {run.task: (run.benchmark, run.language) for run in runs}
        counts = Counter(tasks.values())
        self._clashing = {task for task, parts in tasks.items() if counts[parts] > 1}
        self._varying = _varying_settings(runs if shown is None else shown)

    def benchmark(self, run: FinishedRun) -> str:
        """The task without its language; the whole task where two tasks would have one name."""
        return run.task if run.task in self._clashing else run.benchmark

    def model_name(self, model: str) -> str:
        """A model's name alone."""
        return self._models[model]

    def quantizer(self, text: str) -> str:
        """A quantizer's spec alone."""
        return FULL_PRECISION if text == FULL else self._quants[text]

    def model(self, run: FinishedRun) -> str:
        """The model, and the settings that tell this run from others of its task: seed, temperature, device."""
        return ", ".join([self.model_name(run.model), *self.varying_settings(run)])

    def varying_settings(self, run: FinishedRun) -> list[str]:
        """A text for each setting of the run in which the runs of its benchmark differ; a chat always says so."""
        varying = self._varying.get((run.benchmark, run.perturbation), set())
        if run.setting.prompting != RAW:
            varying = varying | {"prompting"}
        return [text for name, text in run.setting.texts().items() if name in varying]

    def quant(self, run: FinishedRun) -> str:
        """The quantizer, `full precision`, or the checkpoint that was quantized already."""
        if run.checkpoint is None:
            return self.quantizer(run.quant)
        checkpoint = self.model_name(run.checkpoint)
        return checkpoint if run.quant == FULL else f"{checkpoint}, {self._quants[run.quant]}"

    def calib(self, run: FinishedRun) -> str:
        """The calibration set; empty where there is none."""
        return self._calibs[run.calib] if run.calib else ""

    def calibrated(self, run: FinishedRun) -> str:
        """The quantizer with its calibration set."""
        return f"{self.quant(run)} on {self.calib(run)}" if run.calib else self.quant(run)

    def points(self, runs: Sequence[FinishedRun]) -> list[str]:
        """The labels of one task's runs in a figure: quantizers, with their calibration set where they have several."""
        sets: dict[str, set[str | None]] = {}
        for run in runs:
            sets.setdefault(run.quant, set()).add(run.calib)
        return [self.calibrated(run) if len(sets[run.quant]) > 1 else self.quant(run) for run in runs]


def _varying_settings(runs: Iterable[FinishedRun]) -> dict[tuple[str, str], set[str]]:
    """The settings in which runs of one task differ, by benchmark and perturbation.

    A setting that varies in one of a benchmark's languages counts for all of them.
    """
    values: dict[tuple[str, str], dict[tuple[str, str], set[object]]] = {}
    for run in runs:
        seen = values.setdefault((run.benchmark, run.perturbation), {})
        for name, value in vars(run.setting).items():
            seen.setdefault((run.task, name), set()).add(value)
    return {key: {name for (_, name), each in seen.items() if len(each) > 1} for key, seen in values.items()}


def _last_parts(names: Iterable[str]) -> dict[str, str]:
    """Each path's last parts, as few as tell it from the others."""
    paths = {name: PurePosixPath(name).parts for name in sorted(names)}
    labels = {}
    for name, parts in paths.items():
        others = [other for n, other in paths.items() if n != name]
        counts = range(1, len(parts) + 1)
        least = next((n for n in counts if not any(other[-n:] == parts[-n:] for other in others)), len(parts))
        labels[name] = visible(str(PurePosixPath(*parts[-least:])))
    return labels


def _quantizer_labels(texts: Iterable[str], make: MakePlugin) -> dict[str, str]:
    """Spec texts without the options that all specs of one quantizer share; the options that come first stay."""
    specs = {text: shortest(text, make) for text in sorted(texts)}
    values = {text: options(text, make) for text in specs}
    labels = {}
    for text, spec in specs.items():
        alike = [values[other] for other in specs if specs[other].name == spec.name]
        shared = _shared(values[text], alike)
        if len(alike) > 1:
            spec = _with_first(spec, values[text], shared)
            spec = _shortened(spec, list(spec.args), shared)
        labels[text] = str(spec)
    return _unambiguous(labels)


def _calibration_labels(texts: Iterable[str], make: MakePlugin) -> dict[str, str]:
    """Spec texts without the options that all of them share."""
    values = {text: options(text, make) for text in sorted(texts)}
    labels = {}
    for text, own in values.items():
        spec, shared = shortest(text, make), _shared(own, list(values.values()))
        args = [arg for arg, name in zip(spec.args, own, strict=False) if name not in shared]
        labels[text] = str(_shortened(spec, args, shared))
    return _unambiguous(labels)


def _shared(values: Mapping[str, object], all_values: Sequence[Mapping[str, object]]) -> set[str]:
    """The names of the options whose value is the same in all specs."""
    return {name for name, value in values.items() if all(other.get(name, _MISSING) == value for other in all_values)}


def _unambiguous(labels: Mapping[str, str]) -> dict[str, str]:
    """The label of each text; the whole text where two texts have one label."""
    counts = Counter(labels.values())
    return {text: visible(label if counts[label] == 1 else text) for text, label in labels.items()}


def _with_first(spec: Spec, values: Mapping[str, object], shared: set[str]) -> Spec:
    """The spec with its first option written, even if that is the default, where specs differ in that option."""
    first = next(iter(values), None)
    if spec.args or first is None or first in (*shared, *dict(spec.kwargs)) or values[first] is None:
        return spec
    return Spec(spec.name, (show(values[first]),), spec.kwargs)


def _shortened(spec: Spec, args: Iterable[str], shared: set[str]) -> Spec:
    """The spec with these leading options and without the `shared` ones; of a path, the last part stays."""
    kwargs = ((name, value) for name, value in spec.kwargs if name not in shared)
    return Spec(spec.name, tuple(map(_last_part, args)), tuple((name, _last_part(value)) for name, value in kwargs))


def _last_part(value: str) -> str:
    return PurePosixPath(value).name or value
