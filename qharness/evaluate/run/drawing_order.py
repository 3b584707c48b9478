"""The random order in which a search makes completions, one for all models that it compares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def drawing_order(problems: int, samples: int, seed: int) -> NDArray[np.int64]:
    """A random order of all pairs of completions: [problems * samples] numbers, problem * samples + sample."""
    return np.random.default_rng([seed, problems, samples]).permutation(problems * samples)
