"""AQLM on one transformer block: quantizes its Linears, then trains its parameters (Egiazarian et al., section 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from qharness import replace_module
from qharness.plugins.aqlm.bit_allocation import Shape
from qharness.plugins.aqlm.early_stopping import Trained, Training, shuffled_training, train
from qharness.plugins.aqlm.layer import Search, quantize_layer
from qharness.plugins.aqlm.replay import Call, hidden
from qharness.plugins.aqlm.weight import AqlmLinear


@dataclass(frozen=True)
class Tuning(Training):
    """How a block is tuned: Giagnorio et al. 2025, section 3.4; learning rate and betas are the AQLM authors'.

    `batch`: sequences a step.
    """

    epochs: int = 10
    patience: int = 3
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.90, 0.95)
    batch: int = 8


def collect_xtx(block: nn.Module, names: Iterable[str], calls: Iterable[Call]) -> dict[str, Tensor]:
    """Return X^T X [in, in], float32, by the name of each Linear; one tensor for Linears that share their inputs.

    Linears share inputs if the first call gave them the same tensor. A Linear that no call reached has zeros.
    """
    linears = {name: linear_of(block, name) for name in names}
    leaders: dict[str, str] = {}
    seen: dict[int, tuple[str, Tensor]] = {}
    sums: dict[str, Tensor] = {}

    def add(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            if name not in leaders:  # holding the tensor keeps its id its own
                leaders[name] = seen.setdefault(id(args[0]), (name, args[0]))[0]
            if leaders[name] == name:
                x = args[0].detach().reshape(-1, args[0].shape[-1]).float()
                sums[name] = sums[name].addmm_(x.t(), x) if name in sums else x.t() @ x

        return hook

    with ExitStack() as hooks, torch.no_grad():
        for name, linear in linears.items():
            hooks.enter_context(linear.register_forward_pre_hook(add(name)))
        for call in calls:
            call.run(block)
            seen.clear()
    found = {}
    for name, linear in linears.items():
        size, device = linear.in_features, linear.weight.device
        total = sums.get(leaders.get(name, name))
        found[name] = torch.zeros(size, size, device=device) if total is None else total
    return found


def linear_of(block: nn.Module, name: str) -> nn.Linear:
    """Return the Linear of that dotted name."""
    linear = block.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    return linear


def quantize_block(
    block: nn.Module,
    xtx: dict[str, Tensor],
    shape: Shape,
    seeds: Callable[[str], torch.Generator],
    search: Search,
    done: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Replace each Linear that `xtx` names by an AqlmLinear. Returns their relative errors, by name.

    `done` is called after each.
    """
    errors = {}
    for name, inputs in xtx.items():
        linear = linear_of(block, name)
        result = quantize_layer(linear.weight.detach(), inputs, shape, seeds(name), search)
        bias = None if linear.bias is None else linear.bias.detach()
        replace_module(block, name, AqlmLinear(result.weight, bias))
        errors[name] = result.errors[-1]
        done()
    return errors


def tune_block(
    block: nn.Module,
    calls: Callable[[Sequence[int]], Iterator[Call]],
    targets: Sequence[Tensor],
    held_out: Sequence[int],
    generator: torch.Generator,
    tuning: Tuning,
    done: Callable[[], None] = lambda: None,
) -> Trained:
    """Train a block's codebooks, scales and every other parameter towards its full-precision output, in float32.

    `calls(indices)` gives the block's inputs on those batches, `targets[i]` its output [n, length, width] on batch i.
    The error, on the batches `held_out`, is ||F(x) - Fhat(x)||^2 / ||F(x)||^2. `done` is called after each epoch.
    """

    def epoch() -> Iterator[Iterator[Tensor]]:
        for batch in _steps(shuffled_training(len(targets), held_out, generator), targets, tuning.batch):
            yield _losses(block, calls(batch), [targets[i] for i in batch])

    def error() -> float:
        return _error(block, calls, targets, held_out)

    return train(block, list(block.parameters()), tuning, epoch, error, lambda *_: done())


def _steps(order: Sequence[int], targets: Sequence[Tensor], size: int) -> Iterator[list[int]]:
    """Put batches together until they hold `size` sequences."""
    step: list[int] = []
    for index in order:
        step.append(index)
        if sum(len(targets[i]) for i in step) >= size:
            yield step
            step = []
    if step:
        yield step


def _losses(block: nn.Module, calls: Iterator[Call], targets: list[Tensor]) -> Iterator[Tensor]:
    """Yield each call's squared error, divided by the number of values of all targets."""
    count = sum(target.numel() for target in targets)
    for call, target in zip(calls, targets, strict=True):
        output = hidden(call.to(torch.float32).run(block))
        yield (output - target.to(output.device, torch.float32)).square().sum() / count


@torch.no_grad()
def _error(
    block: nn.Module, calls: Callable[[Sequence[int]], Iterator[Call]], targets: Sequence[Tensor], which: Sequence[int]
) -> float:
    wrong = whole = 0.0
    for call, index in zip(calls(which), which, strict=True):
        output = hidden(call.to(torch.float32).run(block))
        target = targets[index].to(output.device, torch.float32)
        wrong += float((output - target).square().sum())
        whole += float(target.square().sum())
    return wrong / whole if whole else 0.0
