"""Calibration sets: the protocol of one, the optional protocols, and the sequences that are drawn from one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Calibration:
    """Text to calibrate on.

    `sequences`: token ids, int64 [length], one tensor for each sequence. `composition`: the number of sequences from
    each source.
    """

    sequences: Sequence[torch.Tensor]
    composition: Mapping[str, int]


@runtime_checkable
class CalibrationSet(Protocol):
    """Text to calibrate on: a frozen dataclass whose fields are its options, `n` and `seqlen` among them."""

    name: ClassVar[str]

    @property
    def n(self) -> int:
        """The number of sequences."""
        ...

    @property
    def seqlen(self) -> int:
        """The maximum length of a sequence, in tokens."""
        ...

    def documents(self, rng: random.Random, data_dir: Path | None) -> Iterable[tuple[str, str]]:
        """Yield (source, text) pairs in the order that `rng` draws; more than `n` of them, where there are more.

        `data_dir` is the local mirror of data files, or None.
        """
        ...


@runtime_checkable
class FittingCalibrationSet(Protocol):
    """A calibration set that chooses documents by their length, so that all sequences are full."""

    def fitting(
        self, rng: random.Random, data_dir: Path | None, fits: Callable[[str], bool]
    ) -> Iterable[tuple[str, str]]:
        """Yield pairs as `documents` does, but only texts for which `fits(text)` is true.

        `fits` tokenizes a text and says whether it has at least `seqlen` tokens.
        """
        ...


@runtime_checkable
class CacheableCalibrationSet(Protocol):
    """A calibration set that is slow to draw. Its sequences are cached until its origin changes."""

    def origin(self, data_dir: Path | None) -> str:
        """Return a text that changes whenever the documents do: a version, or a mirror's files and their times."""
        ...
