"""What a shell offers for the value of an option: names from the registry, without torch or lm-eval."""

from __future__ import annotations

from collections.abc import Iterable

from qharness.models.presets import PRESETS
from qharness.registry import get_registry
from qharness.specs import DEFAULT_MODEL


def complete_quantizer(incomplete: str) -> list[str]:
    """Names of quantizers; their options are free text."""
    return _beginning(get_registry().quantizers, incomplete)


def complete_calibration_set(incomplete: str) -> list[str]:
    """Names of calibration sets."""
    return _beginning(get_registry().calibration_sets, incomplete)


def complete_perturbation(incomplete: str) -> list[str]:
    """Names of perturbations, also of one behind others: `char+wo`."""
    before, plus, last = incomplete.rpartition("+")
    return [before + plus + name for name in _beginning(get_registry().perturbations, last)]


def complete_task(incomplete: str) -> list[str]:
    """Names of our tasks, and behind an `@` of perturbations."""
    task, at, perturbation = incomplete.partition("@")
    if at:
        return [f"{task}@{name}" for name in complete_perturbation(perturbation)]
    return _beginning(get_registry().tasks, incomplete)


def complete_model(incomplete: str) -> list[str]:
    """Presets and the bundled model; with none of these, the shell completes paths."""
    return _beginning([DEFAULT_MODEL, *PRESETS], incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
