"""Clipping ranges: histograms that grow, and what each loss chooses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qharness.plugins.int8.integer_grid import WeightGrid
from qharness.plugins.int8.ranges import Histogram, Loss, choose_fractions, levels_of


def error(x: torch.Tensor, alpha: float, levels: int) -> float:
    """The squared error of rounding x to the grid of a range, computed value by value."""
    step = alpha / levels
    return ((x.double() / step).round().clamp(-levels, levels) * step - x).square().sum().item()


def counted(*parts: torch.Tensor) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part)
    return histogram


def heavy(generator: torch.Generator, count: int, tail: float) -> torch.Tensor:
    """Normal values, some of them far out."""
    x = torch.randn(count, generator=generator)
    return torch.where(torch.rand(count, generator=generator) < 0.01, x * tail, x)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.floats(1, 60), st.sampled_from([8, 4]), st.sampled_from(["normal", "sparse", "grid"]))
def test_mse_is_never_worse_than_the_greatest_magnitude(seed: int, tail: float, bits: int, kind: str) -> None:
    levels = levels_of(bits)
    x = heavy(torch.Generator().manual_seed(seed), 5000, tail)
    if kind == "sparse":
        x = x.relu().square()
    if kind == "grid":  # exact without clipping
        x = x.clamp(-5, 5).mul(levels / 5).round()
        x[0] = levels
    histogram = counted(*x.split(700))
    assert error(x, histogram.choose("mse", levels, 0), levels) <= error(x, histogram.most, levels) * (1 + 1e-9)


def test_mse_is_about_the_best_there_is() -> None:
    x = heavy(torch.Generator().manual_seed(0), 50000, 30)
    for levels in (127, 7):
        histogram = counted(x)
        best = min(error(x, histogram.most * k / 400, levels) for k in range(4, 401))
        assert best < 0.96 * error(x, histogram.most, levels)
        assert error(x, histogram.choose("mse", levels, 0), levels) < 1.02 * best


def test_a_histogram_that_grew_counts_what_one_pass_over_all_would() -> None:
    x = torch.randn(3000, generator=torch.Generator().manual_seed(0)) * torch.logspace(-2, 1.3, 3000)
    grown, late = counted(*x.split(100)), Histogram(len(Histogram().counts))
    late.range = late.most = grown.range
    late.add(x)
    assert grown.counts.sum() == (x != 0).sum() and grown.most == x.abs().max()
    assert (grown.counts - late.counts).abs().sum() < 0.01 * 3000  # the ends of bins, rounded otherwise
    assert len(grown.counts) == len(counted(x[:1]).counts)


def test_zeros_and_what_is_not_finite() -> None:
    assert counted(torch.zeros(5)).choose("mse", 127, 0) == 0.0
    histogram = counted(torch.tensor([1.0, float("inf"), float("nan"), -2.0, 0.0]))
    assert histogram.most == 2.0 and histogram.counts.sum() == 2


@pytest.mark.parametrize(
    ("loss", "least", "most"), [("max", 1.0, 1.0), ("percentile", 0.085, 0.105), ("mse", 0.0, 0.5)]
)
def test_losses_on_uniform_values_with_one_outlier(loss: Loss, least: float, most: float) -> None:
    x = torch.cat([torch.linspace(-1, 1, 20001), torch.tensor([10.0])])
    histogram = counted(x)
    alpha = histogram.choose(loss, levels_of(4), 99.0) / 10
    assert least <= alpha <= most


def test_entropy_keeps_a_uniform_and_cuts_a_long_tail() -> None:
    uniform = counted(torch.linspace(-1, 1, 100001))
    assert uniform.choose("entropy", 127, 0) > 0.9
    tailed = counted(heavy(torch.Generator().manual_seed(0), 100000, 200))
    assert tailed.choose("entropy", 127, 0) < 0.5 * tailed.most


@pytest.mark.parametrize("loss", ["mse", "entropy", "percentile", "max"])
def test_rows_are_chosen_for_one_by_one(loss: Loss) -> None:
    counts = torch.rand(6, 512, generator=torch.Generator().manual_seed(0)).pow(8).mul(50).round()
    together = choose_fractions(counts, loss, 127, 99.0)
    assert torch.equal(together, torch.cat([choose_fractions(row[None], loss, 127, 99.0) for row in counts]))
    assert ((together > 0) & (together <= 1)).all()


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([8, 4]), st.floats(1, 40))
def test_clipped_weights(seed: int, per_column: bool, bits: int, tail: float) -> None:
    weight = heavy(torch.Generator().manual_seed(seed), 24 * 96, tail).view(24, 96)
    errors = {}
    for loss in ("max", "mse", "entropy", "percentile"):
        q, scale = WeightGrid(per_column, bits, loss).quantize(weight)
        assert q.dtype == torch.int8 and q.abs().max() <= levels_of(bits) and scale.shape == (24 if per_column else 1,)
        errors[loss] = (q * scale[:, None] - weight).double().square().sum(dim=1)
    rows = errors["mse"] <= errors["max"] * (1 + 1e-6)
    assert rows.all() if per_column else errors["mse"].sum() <= errors["max"].sum() * (1 + 1e-6)


def test_per_column_error_is_at_most_per_tensors() -> None:
    weight = torch.randn(64, 64, generator=torch.Generator().manual_seed(0)) * torch.logspace(-2, 1, 64)[:, None]
    wide, narrow = (
        (q * scale[:, None] - weight).norm() for q, scale in (WeightGrid(c).quantize(weight) for c in (False, True))
    )
    assert narrow < 0.5 * wide
