"""The one training loop of AQLM: when it stops, and what it leaves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from qharness.plugins.aqlm.early_stopping import Trained, Training, shuffled_training, train


def trained(errors: list[float], training: Training, module: nn.Linear) -> tuple[Trained, list[Tensor]]:
    """Train with held-out errors that are given: the first before training, then one an epoch."""
    left, states = iter(errors), []

    def epoch() -> Iterator[Iterator[Tensor]]:
        yield (module(torch.ones(1, 2)).sum() for _ in range(2))

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
