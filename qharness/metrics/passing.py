"""pass@k."""

from __future__ import annotations

import math


def pass_at_k(n: int, c: int, k: int) -> float:
    """The probability that at least one of `k` of `n` samples, `c` of which pass, passes.

    The unbiased estimator 1 - C(n-c, k) / C(n, k) of Chen et al. 2021 (arXiv 2107.03374, equation 1), from exact
    binomials. NaN where n < k: fewer samples than k say nothing of pass@k.
    """
    if not 0 <= c <= n or k < 1:
        raise ValueError(f"pass@k needs 0 <= c <= n and k >= 1, not n={n}, c={c}, k={k}")
    if n < k:
        return math.nan
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)
