"""Perturbations of natural language: the protocol of one, and the optional protocols."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable


@runtime_checkable
class Perturbation(Protocol):
    """A random change of natural language: a frozen dataclass whose fields are its options."""

    name: ClassVar[str]

    def __call__(self, text: str, rng: random.Random) -> str:
        """Return `text`, perturbed. All randomness comes from `rng`."""
        ...


@runtime_checkable
class BatchPerturbation(Protocol):
    """A perturbation that is faster for many texts together than for one at a time."""

    def perturb_all(self, texts: Sequence[str], rngs: Sequence[random.Random]) -> Sequence[str]:
        """Return the texts, perturbed, in order.

        All randomness for a text comes from the generator at the same place in `rngs`; texts may share a generator.
        """
        ...


@runtime_checkable
class SentencePerturbation(Protocol):
    """A perturbation that can work on whole sentences, with the code, names and values in them.

    The host uses a perturbed sentence only if these parts are all still there, in order; otherwise it perturbs each
    stretch between them by itself.
    """

    @property
    def whole_sentences(self) -> bool:
        """Whether the perturbation wants whole sentences; a class variable will do."""
        ...
