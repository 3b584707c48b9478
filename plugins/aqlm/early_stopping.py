"""Training with Adam and early stopping, for one block and for the whole model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_RISE = 0.2


@dataclass(frozen=True)
class Training:
    """Adam's settings. Training ends after `epochs`, or after `patience` epochs in a row without a lower error.

    `annealed`: learning rates rise in a line for the first fifth of all epochs' steps, for Adam's first moments are
    rough, and then fall to 0 along half a cosine. Otherwise they stay.
    """

    epochs: int
    patience: int
    learning_rate: float
    betas: tuple[float, float]
    annealed: bool = False

    def fraction(self, done: int, steps: int) -> float:
        """Return which part of its learning rate a step has, after `done` of `steps`."""
        if not self.annealed:
            return 1.0
        rising = steps * _RISE
        if done < rising:
            return (done + 1) / (rising + 1)
        return (1 + math.cos(math.pi * (done - rising) / (steps - rising))) / 2


@dataclass(frozen=True)
class Trained:
    """The error on the held-out batches before training and at the best epoch, and how many epochs were run."""

    before: float
    after: float
    epochs: int


def train(
    module: nn.Module,
    parameters: Sequence[nn.Parameter],
    training: Training,
    epoch: Callable[[], Iterable[Callable[[], None]]],
    held_out_error: Callable[[], float],
    log: Callable[[int, float, float], None] = lambda epoch, before, now: None,
    rates: Sequence[float] = (),
) -> Trained:
    """Train `parameters` of a module in float32; they end with the values of the epoch of least held-out error.

    `epoch()` yields an epoch's steps; a step, called, computes the parameters' gradients. `log` gets an epoch's
    number, the error before training and the epoch's. `rates` are the parameters' own learning rates, if they have any.
    Afterwards the module has its own dtypes and needs no gradient.
    """
    dtypes = {name: tensor.dtype for name, tensor in _tensors(module)}
    module.float()
    for parameter in parameters:
        parameter.requires_grad_(True)
    rates = rates or [training.learning_rate] * len(parameters)
    groups = [{"params": [parameter], "lr": rate} for parameter, rate in zip(parameters, rates, strict=True)]
    optimizer = torch.optim.Adam(groups, betas=training.betas)
    before = least = held_out_error()
    best, since, epochs = [p.detach().clone() for p in parameters], 0, 0
    while epochs < training.epochs and since < training.patience:
        epochs += 1
        with torch.enable_grad():
            steps = list(epoch())
            for number, step in enumerate(steps, (epochs - 1) * len(steps)):
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * training.fraction(number, training.epochs * len(steps))
                optimizer.zero_grad()
                step()
                optimizer.step()
        error = held_out_error()
        since += 1
        if error < least:
            best, least, since = [p.detach().clone() for p in parameters], error, 0
        log(epochs, before, error)
    for parameter, value in zip(parameters, best, strict=True):
        parameter.requires_grad_(False)
        parameter.grad = None
        parameter.data = value
    for name, tensor in _tensors(module):
        tensor.data = tensor.data.to(dtypes[name])
    return Trained(before, least, epochs)


def shuffled_training(count: int, held_out: Sequence[int], generator: torch.Generator) -> list[int]:
    """Return the batches that are trained on, in a drawn order: all but `held_out`, or these if there are no others."""
    trained = [index for index in range(count) if index not in set(held_out)] or list(held_out)
    return [trained[place] for place in torch.randperm(len(trained), generator=generator).tolist()]


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
