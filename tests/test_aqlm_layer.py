"""AQLM on one layer: what each step promises, on layers small enough to check."""

from __future__ import annotations

import pytest
import torch

from qharness.plugins.aqlm.beam import beam_search
from qharness.plugins.aqlm.bit_allocation import Shape, shape_for
from qharness.plugins.aqlm.gptq_init import gptq_codes, inverse_factor
from qharness.plugins.aqlm.kmeans import best_codes, kmeans
from qharness.plugins.aqlm.layer import Search, quantize_layer
from qharness.plugins.aqlm.least_squares import decode, layer_error, solve_codebooks, solve_scales
from qharness.plugins.aqlm.thread_pool import thread_pool


def _draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _layer(rows: int, columns: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A weight and X^T X of correlated inputs of unequal size."""
    draw = _draw(seed)
    weight = torch.randn(rows, columns, generator=draw) * torch.exp(0.3 * torch.randn(rows, 1, generator=draw))
    mix = torch.eye(columns) + 0.3 * torch.randn(columns, columns, generator=draw)
    x = torch.randn(4 * columns, columns, generator=draw) @ mix * torch.exp(0.5 * torch.randn(columns, generator=draw))
    return weight, x.t() @ x


def _blocks(xtx: torch.Tensor, group: int) -> torch.Tensor:
    return torch.stack([xtx[i : i + group, i : i + group] for i in range(0, len(xtx), group)])


def _parts(seed: int, books: int = 2, nbits: int = 3) -> tuple[torch.Tensor, ...]:
    """A layer with random codebooks, codes and scales."""
    weight, xtx = _layer(12, 32, seed)
    draw = _draw(seed + 100)
    codebooks = 0.7 * torch.randn(books, 1 << nbits, 8, generator=draw)
    codes = torch.randint(0, 1 << nbits, (12, 4, books), generator=draw)
    return weight, xtx, codebooks, codes, 0.5 + torch.rand(12, generator=draw)


def _error_of(
    weight: torch.Tensor, xtx: torch.Tensor, codebooks: torch.Tensor, codes: torch.Tensor, scales: torch.Tensor
) -> float:
    return layer_error(weight, decode(codebooks, codes) * scales[:, None], xtx)


@pytest.mark.parametrize("size", [2, 32, 64, 256])
def test_best_codes_is_the_argmax(size: int) -> None:
    draw = _draw(size)
    targets, codebook = torch.randn(300, 8, generator=draw), torch.randn(size, 8, generator=draw)
    offset = torch.randn(size, generator=draw)
    scores = targets @ codebook.t() + offset
    found = best_codes(targets, codebook, offset)
    assert torch.allclose(scores.gather(1, found[:, None])[:, 0], scores.amax(1))


def test_kmeans_finds_planted_clusters_in_any_metric() -> None:
    draw = _draw(0)
    centres = 4 * torch.randn(4, 3, generator=draw)
    points = centres[torch.randint(0, 4, (5, 80), generator=draw)] + 0.01 * torch.randn(5, 80, 3, generator=draw)
    mixes = torch.randn(5, 3, 3, generator=draw)
    metrics = mixes @ mixes.transpose(1, 2) + torch.eye(3)
    tries = [kmeans(points, torch.rand(80, generator=draw) + 0.1, metrics, 4, _draw(seed)) for seed in range(8)]
    assert min(float(torch.cdist(centres, found).amin(1).amax()) for found in tries) < 0.01


def test_kmeans_of_fewer_points_than_centroids_keeps_them_all() -> None:
    points = torch.randn(2, 3, 4, generator=_draw(0))
    found = kmeans(points, torch.ones(3), torch.eye(4).expand(2, 4, 4), 16, _draw(1))
    assert found.shape == (16, 4) and torch.cdist(points.view(-1, 4), found).amin(1).amax() < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_solved_codebooks_are_the_least_squares_solution(seed: int) -> None:
    """Against a dense solution in double precision of the same problem."""
    weight, xtx, codebooks, codes, scales = _parts(seed)
    rows, groups, books = codes.shape
    spread = torch.zeros(rows, groups, books * 8, dtype=torch.float64)
    for o in range(rows):
        for j in range(groups):
            for m in range(books):
                spread[o, j, m * 8 + codes[o, j, m]] += scales[o]
    root = torch.linalg.cholesky(xtx.double())  # ||R root||^2 is the error
    basis = torch.einsum("ojk,jgn->onkg", spread, root.view(groups, 8, -1)).reshape(rows * 32, -1)
    wanted = (weight.double() @ root).reshape(-1)
    solution = torch.linalg.lstsq(basis, wanted[:, None], driver="gelsd").solution
    least = float((basis @ solution - wanted[:, None]).square().sum())
    found = solve_codebooks(weight, xtx, _blocks(xtx, 8), codebooks, codes, scales, steps=300)
    assert least <= _error_of(weight, xtx, found, codes, scales) * (1 + 1e-6) <= least * 1.01
    few = solve_codebooks(weight, xtx, _blocks(xtx, 8), codebooks, codes, scales, steps=3)
    assert _error_of(weight, xtx, few, codes, scales) < _error_of(weight, xtx, codebooks, codes, scales)


def test_planted_codebooks_and_scales_are_found() -> None:
    weight, xtx, codebooks, codes, scales = _parts(7)
    planted = decode(codebooks, codes) * scales[:, None]
    start = codebooks + 0.1 * torch.randn(codebooks.shape, generator=_draw(1))
    found = solve_codebooks(planted, xtx, _blocks(xtx, 8), start, codes, scales, steps=300)
    whole = layer_error(weight, torch.zeros_like(weight), xtx)
    assert _error_of(planted, xtx, found, codes, scales) < 1e-5 * whole
    assert torch.allclose(solve_scales(planted, xtx, codebooks, codes), scales, rtol=1e-3)


@pytest.mark.parametrize("beam", [1, 2, 5])
@pytest.mark.parametrize("books", [1, 3])
def test_beam_search_never_makes_a_row_worse(beam: int, books: int) -> None:
    for seed in range(4):
        weight, xtx, codebooks, codes, scales = _parts(seed, books)
        found = beam_search(weight, xtx, codebooks, codes, scales, _draw(seed), beam)
        for o in range(len(weight)):
            row = slice(o, o + 1)
            before = _error_of(weight[row], xtx, codebooks, codes[row], scales[row])
            assert _error_of(weight[row], xtx, codebooks, found[row], scales[row]) <= before * (1 + 1e-5)


def test_a_beam_that_holds_every_hypothesis_finds_the_best_one() -> None:
    """2 groups of 2 codebooks of 2 entries: 16 sets of codes a row."""
    draw = _draw(3)
    weight, xtx = _layer(6, 8, 3)
    codebooks, scales = torch.randn(2, 2, 4, generator=draw), torch.rand(6, generator=draw) + 0.5
    every = torch.cartesian_prod(*[torch.arange(2)] * 4).view(16, 2, 2)
    for o in range(6):
        row = slice(o, o + 1)
        errors = [_error_of(weight[row], xtx, codebooks, codes[None], scales[row]) for codes in every]
        found = beam_search(weight[row], xtx, codebooks, every[:1], scales[row], _draw(o), beam=16)
        assert _error_of(weight[row], xtx, codebooks, found, scales[row]) == pytest.approx(min(errors), rel=1e-4)


def test_beams_help_on_average() -> None:
    """Over seeds, from the same codebooks and codes."""
    gains = []
    for seed in range(8):
        weight, xtx = _layer(32, 64, seed)
        draw = _draw(seed)
        points = weight.view(32, 8, 8).transpose(0, 1)
        codebook = kmeans(points, torch.ones(32), torch.eye(8).expand(8, 8, 8), 32, draw)[None]
        codes, scales = torch.zeros(32, 8, 1, dtype=torch.int64), torch.ones(32)
        ends = []
        for beam in (1, 4):
            found = beam_search(weight, xtx, codebook, codes, scales, _draw(seed), beam)
            ends.append(_error_of(weight, xtx, codebook, found, scales))
        gains.append(1 - ends[1] / ends[0])
    assert sum(gains) / len(gains) > 0.01


def test_feedback_beats_the_nearest_codes() -> None:
    weight, xtx = _layer(48, 64, 5)
    codebooks = kmeans(weight.view(48, 8, 8).transpose(0, 1), torch.ones(48), _blocks(xtx, 8), 32, _draw(0))[None]
    nearest = torch.cdist(weight.view(-1, 8), codebooks[0]).argmin(1).view(48, 8, 1)
    found = gptq_codes(weight, xtx, codebooks, torch.ones(48))
    ours, theirs = (_error_of(weight, xtx, codebooks, codes, torch.ones(48)) for codes in (found, nearest))
    assert ours < 0.8 * theirs


def test_the_inverse_factor_of_a_singular_matrix() -> None:
    x = torch.randn(3, 16, generator=_draw(0))
    factor = inverse_factor(x.t() @ x)
    assert torch.isfinite(factor).all() and torch.equal(factor, factor.triu())


@pytest.mark.parametrize(
    ("books", "nbits", "group", "beam"), [(1, 6, 8, 1), (2, 4, 8, 1), (2, 4, 8, 3), (5, 2, 4, 1), (1, 1, 2, 2)]
)
def test_the_kept_error_never_rises_and_is_the_result_s(books: int, nbits: int, group: int, beam: int) -> None:
    for seed in range(3):
        weight, xtx = _layer(40, 48, seed)
        result = quantize_layer(weight, xtx, Shape(books, nbits, group), _draw(seed), Search(beam=beam, tolerance=1e-3))
        assert list(result.errors) == sorted(result.errors, reverse=True) and len(result.errors) > 2
        found = layer_error(weight, result.weight.dequantize(), xtx) / layer_error(
            weight, torch.zeros_like(weight), xtx
        )
        assert found == pytest.approx(result.errors[-1], rel=1e-3)


def test_a_seed_repeats_and_threads_do_not_matter() -> None:
    weight, xtx = _layer(200, 64, 0)
    shape = Shape(2, 4, 8)
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (2, 2, 1):
            torch.set_num_threads(number)
            results.append(quantize_layer(weight, xtx, shape, _draw(4)).weight)
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0].codes, results[1].codes) and torch.equal(results[0].codebooks, results[1].codebooks)
    errors = [layer_error(weight, result.dequantize(), xtx) for result in results]
    assert errors[2] == pytest.approx(errors[0], rel=0.02)
    assert not torch.equal(quantize_layer(weight, xtx, shape, _draw(5)).weight.codes, results[0].codes)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_odd_layers(dtype: torch.dtype) -> None:
    """Inputs that never came, inputs that are always zero, rows of zeros, more codes than groups: all come out finite."""
    weight, xtx = _layer(16, 32, 1)
    weight[3] = 0
    dead = xtx.clone()
    dead[8:20] = dead[:, 8:20] = 0
    for inputs in (torch.zeros_like(xtx), dead, xtx):
        result = quantize_layer(weight.to(dtype), inputs, Shape(1, 8, 8), _draw(0))
        assert result.weight.codebooks.dtype == result.weight.scales.dtype == dtype
        assert torch.isfinite(result.weight.dequantize()).all() and result.errors[-1] < 1e-3


def test_thread_pools_put_rows_together_in_order() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with thread_pool(torch.device("cpu")) as pool:
            parts = pool.by_rows(lambda part: torch.arange(1000)[part], 1000, most=100)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(parts, torch.arange(1000))


def _llama(hidden: int, inner: int, blocks: int) -> list[tuple[int, int]]:
    return ([(hidden, hidden)] * 4 + [(inner, hidden)] * 2 + [(hidden, inner)]) * blocks


def test_large_models_get_the_paper_s_shapes() -> None:
    """Giagnorio et al. 2025, table 1, and section 3.2: 2.02 bits for CodeLlama 7B; B = 14 and 2.05 for the 1B model."""
    layers = _llama(4096, 11008, 32)
    table = {bits: shape_for(bits, layers) for bits in (8, 4, 3, 2)}
    assert table == {8: Shape(4, 15, 8), 4: Shape(2, 15, 8), 3: Shape(2, 12, 8), 2: Shape(1, 15, 8)}
    assert round(table[2].average_bits(layers), 2) == 2.02
    small = _llama(2048, 5504, 24)
    assert shape_for(2, small) == Shape(1, 14, 8) and round(shape_for(2, small).average_bits(small), 2) == 2.05


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_small_models_get_shapes_that_fit(bits: int) -> None:
    for layers in (_llama(192, 384, 4), _llama(512, 2048, 8), _llama(1024, 2816, 20)):
        shape = shape_for(bits, layers)
        assert 0.9 * bits <= shape.average_bits(layers) <= 1.05 * bits
    assert shape_for(2, [(8, 8)]) == Shape(1, 1, 8)  # nothing fits: the smallest
