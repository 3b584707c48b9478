"""Selects the runs that a table or figure shows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence

from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.data.spec_options import count_unusual, without
from qharness.spec import parse
from qharness.specs import RunSpec

REFERENCE = "random"
"""The calibration set that others are compared with, where it is among them (Giagnorio et al. 2025, RQ2)."""
BITS = ("weight_bits", "act_bits")
FINETUNE = "finetune"


def unperturbed(runs: Iterable[FinishedRun]) -> list[FinishedRun]:
    """Runs of programs on the original prompts."""
    return [run for run in runs if run.counts_passes and not run.perturbation]


def grouped(runs: Iterable[FinishedRun], key: Callable[[FinishedRun], Hashable]) -> list[list[FinishedRun]]:
    """The runs in groups of one key; groups and runs keep their order."""
    groups: dict[Hashable, list[FinishedRun]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return list(groups.values())


def by_task(collection: Collection) -> dict[str, list[FinishedRun]]:
    """The largest runs of programs on the original prompts, by task; of runs of one spec only the first."""
    runs: dict[RunSpec, FinishedRun] = {}
    for run in unperturbed(collection.largest):
        runs.setdefault(run.spec, run)
    return {group[0].task: group for group in grouped(runs.values(), lambda run: run.task)}


def reference(collection: Collection, runs: Sequence[FinishedRun]) -> FinishedRun:
    """The run on the reference calibration set, or else on the set that most runs of the collection have."""
    return max(runs, key=lambda run: (_is_reference(run), collection.calibrated[run.calib] if run.calib else 0))


def _is_reference(run: FinishedRun) -> bool:
    return run.calib is not None and parse(run.calib).name == REFERENCE


def usual(collection: Collection, runs: Iterable[FinishedRun]) -> list[FinishedRun]:
    """One run of each model, task and quantizer: with the options' defaults, on the reference calibration set.

    Some options have a table of their own: fine-tuning, and bits of weights and of activations. Of quantizers that
    differ in these only, the ones with the fewest values other than the default are taken.
    """
    varied = (*BITS, FINETUNE)
    selected = []
    for group in grouped(runs, lambda run: (run.setup, run.checkpoint, run.calib, without(run.quant, varied))):
        fewest = min(count_unusual(run.quant, varied) for run in group)
        selected += [run for run in group if count_unusual(run.quant, varied) == fewest]
    return on_reference(collection, selected)


def on_reference(collection: Collection, runs: Iterable[FinishedRun]) -> list[FinishedRun]:
    """One run of each model, task and quantizer: on the reference calibration set."""
    groups = grouped(runs, lambda run: (run.setup, run.checkpoint, run.quant))
    return [reference(collection, group) for group in groups]
