"""The relative quantization noise of a tensor, and the spread of activations' maxima."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

_PIECE = 1 << 22  # numbers: 32 MB each of what is computed of them
SPREAD = {"min": 0, "q1": 25, "median": 50, "q3": 75, "max": 100}


@dataclass
class RelativeNoise:
    """||A - Q(A)||^2 / ||A||^2 over all that is added: equation 1 of Wei et al. 2023, a ratio of energies.

    The paper's own approximation, Delta^2 / (12 ||A||^2), has squares on both sides, so the norms in it are squared.
    """

    error: float = 0.0
    energy: float = 0.0

    def add(self, true: Tensor, seen: Tensor) -> None:
        """Another part of A, and what Q makes of it; of one shape, any float dtype. Summed in float64, in pieces."""
        for a, q in zip(true.reshape(-1).split(_PIECE), seen.reshape(-1).split(_PIECE), strict=True):
            exact = a.double()
            self.error += float((exact - q.double()).square().sum())
            self.energy += float(exact.square().sum())

    @property
    def value(self) -> float:
        """The noise; NaN where A is zero, or nothing was added."""
        return self.error / self.energy if self.energy else math.nan


def relative_noise(true: Tensor, seen: Tensor) -> float:
    """Equation 1 for one tensor and its quantized approximation."""
    noise = RelativeNoise()
    noise.add(true, seen)
    return noise.value


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Least, quartiles and greatest; None of nothing."""
    if not values:
        return None
    return {name: float(np.percentile(values, share)) for name, share in SPREAD.items()}


@dataclass
class Maxima:
    """max|x| of a layer's input: of each token, over its features; of each input, over tokens and features."""

    tokens: list[float] = field(default_factory=list)
    inputs: list[float] = field(default_factory=list)

    def add(self, x: Tensor) -> None:
        """One input's activations [..., in]."""
        if x.numel():
            peaks = x.detach().abs().amax(-1).float().flatten()
            self.tokens += peaks.tolist()
            self.inputs.append(float(peaks.max()))

    def document(self) -> dict[str, dict[str, float] | None]:
        """The spread of both, as `qharness noise` reports it."""
        return {"tokens": spread(self.tokens), "inputs": spread(self.inputs)}
