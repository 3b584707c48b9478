"""What a calibration set must have, and what it may have besides. Imports nothing heavy."""

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
    """Text to calibrate on: `sequences` are token ids, int64 [seqlen_i]; `composition` counts their sources."""

    sequences: Sequence[torch.Tensor]
    composition: Mapping[str, int]


@runtime_checkable
class CalibrationSet(Protocol):
    """A frozen dataclass whose fields are its options, `n` sequences of at most `seqlen` tokens among them."""

    name: ClassVar[str]

    @property
    def n(self) -> int:
        """How many sequences."""
        ...

    @property
    def seqlen(self) -> int:
        """The most tokens of a sequence."""
        ...

    def documents(self, rng: random.Random, data_dir: Path | None) -> Iterable[tuple[str, str]]:
        """Yield (source, text) pairs in the order in which `rng` draws them, more than `n` where there are more."""
        ...


@runtime_checkable
class FittingCalibrationSet(Protocol):
    """A calibration set whose sequences are all full: it is told what is long enough, and chooses accordingly."""

    def fitting(
        self, rng: random.Random, data_dir: Path | None, fits: Callable[[str], bool]
    ) -> Iterable[tuple[str, str]]:
        """As `documents`, but `fits(text)`, which asks the tokenizer, is true of each text."""
        ...


@runtime_checkable
class KeptCalibrationSet(Protocol):
    """A calibration set that takes long to draw: its sequences are kept, until their origin changes."""

    def origin(self, data_dir: Path | None) -> str:
        """What the documents depend on besides spec and seed: a version, or a mirror's files and their times."""
        ...
