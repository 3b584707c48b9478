"""The relative quantization noise of a tensor, and the spread of activations' maxima."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from qharness.results.measured import ActivationMaxima, FiveNumbers

_PIECE = 1 << 22  # numbers: 32 MB each of what is computed of them
_PERCENTILES = (0, 25, 50, 75, 100)


@dataclass
class RelativeNoise:
    """||A - Q(A)||^2 / ||A||^2 over all parts that are added: equation 1 of Wei et al. 2023, a ratio of energies.

    The paper's own approximation, Delta^2 / (12 ||A||^2), has squares on both sides, so the norms in it are squared.
    """

    error: float = 0.0
    energy: float = 0.0

    def add(self, true: Tensor, seen: Tensor) -> None:
        """Add a part of A and its quantized form, of one shape and any float dtype. Sums in float64, in pieces."""
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


def five_numbers(values: Sequence[float]) -> FiveNumbers | None:
    """Least value, quartiles and greatest; None of nothing."""
    return FiveNumbers(*(float(np.percentile(values, share)) for share in _PERCENTILES)) if values else None


@dataclass
class Maxima:
    """max|x| of a layer's input: of each token, over its features; of each input, over tokens and features."""

    tokens: list[float] = field(default_factory=list)
    inputs: list[float] = field(default_factory=list)

    def add(self, x: Tensor) -> None:
        """Add one input's activations [..., in]."""
        if x.numel():
            peaks = x.detach().abs().amax(-1).float().flatten()
            self.tokens += peaks.tolist()
            self.inputs.append(float(peaks.max()))

    def spread(self) -> ActivationMaxima:
        """The spread of both."""
        return ActivationMaxima(five_numbers(self.tokens), five_numbers(self.inputs))
