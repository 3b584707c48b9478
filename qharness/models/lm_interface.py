"""The values that pass between a run and the model that makes its completions, whichever backend that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from qharness.models.generation_clock import GenerationClock
    from qharness.models.untouched import Untouched
    from qharness.results import Usage

Completion = tuple[int, int, str, str]
"""(document, sample, prompt_sha, text)"""
Key = tuple[int, int, str]
DEPENDENT_BATCH_SIZE = 16
"""Completions at a time where results depend on it and the user has not chosen."""


@dataclass(frozen=True)
class Facts:
    """The part of a run's document that its model tells; None where it is not known, as of a server.

    `storage_bytes`: of its file, where that is what it runs; `usage`: the tokens that a server counted.
    """

    device: str | None
    dtype: str | None
    resident_bytes: int | None = None
    weight_bytes: int | None = None
    layers: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    usage: Usage | None = None
    storage_bytes: int | None = None


class RunLM(Protocol):
    """A model as lm-eval asks it, which takes completions that are known already and reports those that it makes.

    `clock`: the time spent on generation. `at_a_time`, `batches`: completions together, where that is ours to say.
    """

    known: dict[Key, str]
    on_batch: Callable[[Sequence[Completion]], None]
    batch_dependent: bool
    clock: GenerationClock
    at_a_time: int | None
    batches: list[list[tuple[int, int]]]

    def facts(self) -> Facts:
        """The device it ran on, its bytes and its notes, once it has run."""
        ...


class Made(Protocol):
    """A model that is ready to run, and the record of its quantization."""

    @property
    def composition(self) -> Mapping[str, int] | None:
        """Calibration sequences by source."""
        ...

    @property
    def log(self) -> Sequence[str]:
        """The lines that its quantizer logged."""
        ...

    @property
    def untouched(self) -> Untouched | None:
        """The part that its quantizer left in full precision; None where nothing was quantized."""
        ...

    def lm(self, seed: int, batch_size: int | None) -> Any:
        """A RunLM, which is an LM of lm-eval's too, for one run."""
        ...
