"""Which of the runs at hand a table is made of."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from qharness.report.entries import Entry
from qharness.report.labels import setting
from qharness.report.specs import unusual, without
from qharness.spec import parse

REFERENCE = "random"
"""The calibration set that others are compared with, where it is among them (Giagnorio et al. 2025, RQ2)."""
BITS = ("weight_bits", "act_bits")
FINETUNE = "finetune"


def unperturbed(entries: Iterable[Entry]) -> list[Entry]:
    """Runs of programs on prompts as they are."""
    return [entry for entry in entries if entry.counts_passes and not entry.perturbation]


def place(entry: Entry) -> tuple[Any, ...]:
    """Runs that share this differ in how their model is quantized only."""
    return entry.model, entry.spec.task, setting(entry)


def grouped(entries: Iterable[Entry], key: Any) -> list[list[Entry]]:
    """The entries in groups of one key, in the order met."""
    groups: dict[Hashable, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return list(groups.values())


def reference(entries: Sequence[Entry]) -> Entry:
    """The one that was calibrated on the reference set, or else the first."""
    return next((e for e in entries if e.calib and parse(e.calib).name == REFERENCE), entries[0])


def usual(entries: Iterable[Entry]) -> list[Entry]:
    """One run a model, task and quantizer: of the reference calibration set, and of the options' defaults.

    Of quantizers that differ only in an option that has a table of its own (fine-tuning, bits of weights and of
    activations), those with the fewest values other than the default are kept.
    """
    varied = (*BITS, FINETUNE)
    kept = []
    for group in grouped(entries, lambda e: (place(e), e.checkpoint, e.calib, without(e.quant, varied))):
        least = min(unusual(entry.quant, varied) for entry in group)
        kept += [entry for entry in group if unusual(entry.quant, varied) == least]
    return on_reference(kept)


def on_reference(entries: Iterable[Entry]) -> list[Entry]:
    """One run a model, task and quantizer: of the reference calibration set."""
    return [reference(group) for group in grouped(entries, lambda e: (place(e), e.checkpoint, e.quant))]
