"""Which of the runs at hand a table is made of."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.data.labels import setting
from qharness.report.data.spec_options import unusual, without
from qharness.spec import parse

REFERENCE = "random"
"""The calibration set that others are compared with, where it is among them (Giagnorio et al. 2025, RQ2)."""
BITS = ("weight_bits", "act_bits")
FINETUNE = "finetune"


def unperturbed(entries: Iterable[FinishedRun]) -> list[FinishedRun]:
    """Runs of programs on prompts as they are."""
    return [entry for entry in entries if entry.counts_passes and not entry.perturbation]


def place(entry: FinishedRun) -> tuple[Any, ...]:
    """Runs that share this differ in how their model is quantized only."""
    return entry.model, entry.spec.task, setting(entry)


def grouped(entries: Iterable[FinishedRun], key: Any) -> list[list[FinishedRun]]:
    """The entries in groups of one key, in the order met."""
    groups: dict[Hashable, list[FinishedRun]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return list(groups.values())


def reference(collection: Collection, entries: Sequence[FinishedRun]) -> FinishedRun:
    """The one on the reference calibration set, or else on that of the most runs in the collection."""
    return max(entries, key=lambda e: (_is_reference(e), collection.calibrated[e.calib] if e.calib else 0))


def _is_reference(entry: FinishedRun) -> bool:
    return entry.calib is not None and parse(entry.calib).name == REFERENCE


def usual(collection: Collection, entries: Iterable[FinishedRun]) -> list[FinishedRun]:
    """One run a model, task and quantizer: on the reference calibration set, and of the options' defaults.

    Of quantizers that differ only in an option that has a table of its own (fine-tuning, bits of weights and of
    activations), those with the fewest values other than the default are kept.
    """
    varied = (*BITS, FINETUNE)
    kept = []
    for group in grouped(entries, lambda e: (place(e), e.checkpoint, e.calib, without(e.quant, varied))):
        least = min(unusual(entry.quant, varied) for entry in group)
        kept += [entry for entry in group if unusual(entry.quant, varied) == least]
    return on_reference(collection, kept)


def on_reference(collection: Collection, entries: Iterable[FinishedRun]) -> list[FinishedRun]:
    """One run a model, task and quantizer: on the reference calibration set."""
    groups = grouped(entries, lambda e: (place(e), e.checkpoint, e.quant))
    return [reference(collection, group) for group in groups]
