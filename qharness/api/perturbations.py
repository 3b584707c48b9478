"""What a perturbation must have, and what it may have besides. Imports nothing heavy."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable


@runtime_checkable
class Perturbation(Protocol):
    """A frozen dataclass whose fields are its options. Called with a stretch of natural language, returns another."""

    name: ClassVar[str]

    def __call__(self, text: str, rng: random.Random) -> str:
        """Return `text`, perturbed; every random draw comes from `rng`."""
        ...


@runtime_checkable
class BatchPerturbation(Protocol):
    """A perturbation that does many texts together, because one at a time is slow."""

    def perturb_all(self, texts: Sequence[str], rngs: Sequence[random.Random]) -> Sequence[str]:
        """Perturb each text, in order; draws for it come from the generator at its place, which texts may share."""
        ...


@runtime_checkable
class SentencePerturbation(Protocol):
    """A perturbation that may want whole sentences, with the code, names and values that stand in them.

    What it makes of a sentence is used if these are still there, in order; else it gets what stands between them.
    """

    @property
    def whole_sentences(self) -> bool:
        """Whether it does; a class variable will do."""
        ...
