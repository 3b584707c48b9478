"""The one training loop of AQLM: when it stops, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from qharness.plugins.aqlm.block import Tuning, tune_block
from qharness.plugins.aqlm.early_stopping import Trained, Training, shuffled_training, train
from qharness.plugins.aqlm.fast_float32 import fast_float32
from qharness.plugins.aqlm.replay import Call
from qharness.plugins.aqlm.step_weights import step_weights
from qharness.plugins.aqlm.weight import AqlmLinear, QuantizedWeight
from tests.aqlm_models import random_weight


def trained(errors: list[float], training: Training, module: nn.Linear) -> tuple[Trained, list[Tensor]]:
    """Train with held-out errors that are given: the first before training, then one an epoch."""
    left, states = iter(errors), []

    def step() -> None:
        for _ in range(2):
            module(torch.ones(1, 2)).sum().backward()

    def epoch() -> Iterator[Callable[[], None]]:
        yield step

    def held_out_error() -> float:
        states.append(module.weight.detach().clone())
        return next(left)

    return train(module, [module.weight], training, epoch, held_out_error), states


@pytest.mark.parametrize(
    ("errors", "epochs", "best"),
    [
        ([4, 3, 2, 1, 0], 4, 4),  # as many epochs as there are
        ([4, 3, 5, 5, 0], 3, 1),  # two without a lower error
        ([4, 3, 5, 2, 9], 4, 3),
        ([1, 2, 2, 0, 0], 2, 0),  # no epoch is better than none
        ([4, float("nan"), 3, 5, 5], 4, 2),
    ],
)
def test_training_stops_early_and_ends_with_the_best_epoch(errors: list[float], epochs: int, best: int) -> None:
    module = nn.Linear(2, 1).bfloat16().requires_grad_(False)
    found, states = trained(errors, Training(epochs=4, patience=2, learning_rate=0.1, betas=(0.9, 0.99)), module)
    assert found == Trained(errors[0], errors[best], epochs) and len(states) == epochs + 1
    assert all(state.dtype == torch.float32 for state in states)
    assert torch.equal(module.weight, states[best].bfloat16()) and not torch.equal(states[0], states[1])
    assert module.weight.grad is None and not module.weight.requires_grad and module.bias.dtype == torch.bfloat16


def test_batches_that_are_held_out_are_not_trained_on() -> None:
    draw = torch.Generator().manual_seed(0)
    assert sorted(shuffled_training(5, [0, 3], draw)) == [1, 2, 4]
    assert shuffled_training(1, [0], draw) == [0]  # there is no other


@pytest.mark.parametrize("bits", [4, 8, 10])
def test_gradients_through_a_step_s_weights_are_autograd_s(bits: int) -> None:
    """Of codebooks, scales (one of them 0), bias and norm; a layer that no input reached has none."""
    draw = torch.Generator().manual_seed(bits)
    weights = [random_weight(12, 16, 3, bits, 4, draw), random_weight(8, 12, 2, bits, 4, draw)]
    weights[0].scales[3] = 0
    block = nn.Sequential(AqlmLinear(weights[0], torch.randn(12, generator=draw)), nn.LayerNorm(12))
    block.append(AqlmLinear(weights[1])).append(AqlmLinear(weights[1]))
    x = torch.randn(5, 16, generator=draw)

    def loss() -> Tensor:
        return block[2](block[1](block[0](x))).square().sum()

    parameters = [parameter.requires_grad_(True) for parameter in block.parameters()]
    wanted = torch.autograd.grad(loss(), parameters, allow_unused=True)
    with step_weights(block) as own:
        own.refresh()
        own.spread(torch.autograd.grad(loss(), own.leaves, allow_unused=True))
        for parameter, gradient in zip(parameters, wanted, strict=True):
            assert (parameter.grad is None) == (gradient is None)
            assert gradient is None or torch.allclose(parameter.grad, gradient, rtol=1e-4, atol=1e-4)
    assert block[0].kernel is None and len(list(block.parameters())) == len(parameters)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_share_a_step(threads: int) -> None:
    """Calls of a step run at once; what is trained is the same up to rounding, and one thread's number is put back."""
    draw = torch.Generator().manual_seed(0)
    weight = random_weight(16, 16, 2, 6, 8, draw)
    inputs = [torch.randn(2, 3, 16, generator=draw) for _ in range(9)]
    target = torch.randn(16, 16, generator=draw)
    ends = []
    before = torch.get_num_threads()
    for number in (1, threads):
        torch.set_num_threads(number)
        own = QuantizedWeight(weight.codebooks.clone(), weight.codes, weight.scales.clone())
        block = nn.Sequential(AqlmLinear(own))
        found = tune_block(
            block,
            lambda which: (Call((inputs[i],), {}) for i in which),
            [x @ target for x in inputs],
            [0],
            torch.Generator().manual_seed(1),
            Tuning(epochs=3, learning_rate=1e-2),
        )
        assert found.after < found.before and torch.get_num_threads() == number
        ends.append(block[0].weight + 0)
    torch.set_num_threads(before)
    assert torch.allclose(ends[0], ends[1], atol=1e-4)


def test_fast_products_are_float32_s() -> None:
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(300, 200, generator=draw), torch.randn(200, 100, generator=draw)
    wanted = a.double() @ b.double()
    before = torch.backends.mkldnn.matmul.fp32_precision
    with fast_float32():
        found = a @ b
    assert float((found - wanted).norm() / wanted.norm()) < 1e-5
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_annealed_rates_rise_and_fall() -> None:
    training = Training(epochs=5, patience=5, learning_rate=1e-4, betas=(0.9, 0.95), annealed=True)
    rates = [training.fraction(step, 50) for step in range(50)]
    assert rates[:11] == sorted(rates[:11]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[0] < 0.1 and rates[10] == 1 and rates[-1] < 0.01
    assert 0 < training.fraction(0, 1) <= 1
    assert Training(5, 5, 1e-4, (0.9, 0.95)).fraction(3, 50) == 1


def test_what_is_coded_has_a_rate_of_its_size() -> None:
    block = nn.Sequential(
        AqlmLinear(random_weight(16, 16, 2, 6, 8, torch.Generator().manual_seed(0))), nn.LayerNorm(16)
    )
    block[0].codebooks.mul_(3 / block[0].codebooks.square().mean().sqrt())
    with step_weights(block) as weights:
        rates = {id(parameter): rate for parameter, rate in weights.with_rates(1e-4, 2e-3)}
    assert len(rates) == len(list(block.parameters()))
    assert rates[id(block[0].codebooks)] == pytest.approx(6e-3) and rates[id(block[1].weight)] == 1e-4
