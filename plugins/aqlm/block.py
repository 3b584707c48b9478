"""AQLM on one transformer block: quantizes its Linears, then trains its parameters (Egiazarian et al., section 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from qharness import replace_module
from qharness.plugins.aqlm.bit_allocation import Shape
from qharness.plugins.aqlm.early_stopping import Trained, Training, shuffled_training, train
from qharness.plugins.aqlm.layer import LayerResult, Search, quantize_layer
from qharness.plugins.aqlm.replay import Call, hidden
from qharness.plugins.aqlm.step_weights import step_weights
from qharness.plugins.aqlm.thread_pool import SERIAL, ThreadPool, thread_pool
from qharness.plugins.aqlm.weight import AqlmLinear

_PARALLEL = 1 << 25
"""The weights of a block up to which threads work at a layer or a call each, and take memory for each."""


@dataclass(frozen=True)
class Tuning(Training):
    """How a block is tuned: Giagnorio et al. 2025, section 3.4, with the AQLM authors' betas.

    Both papers take up to 10 epochs at a learning rate of 1e-4 for all parameters. Codebooks and scales learn better at
    rates that suit their size: `coded_rate` times their root mean square. Rates rise and then fall to 0, so that all
    epochs are taken. `batch`: sequences a step.
    """

    epochs: int = 10
    patience: int = 10
    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.90, 0.95)
    annealed: bool = True
    coded_rate: float = 4e-3
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

    def quantized(name: str) -> LayerResult:
        return quantize_layer(linear_of(block, name).weight.detach(), xtx[name], shape, seeds(name), search)

    errors = {}
    longest_first = sorted(xtx, key=lambda name: -linear_of(block, name).weight.numel())
    with block_threads(block, len(xtx)) as pool:
        for name, result in pool.as_done(quantized, longest_first):
            bias = linear_of(block, name).bias
            replace_module(block, name, AqlmLinear(result.weight, None if bias is None else bias.detach()))
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
    with step_weights(block) as weights, block_threads(block) as pool:

        def step(batch: list[int]) -> None:
            """Add up the gradients of a step's calls, which the pool's threads compute at once."""
            weights.refresh()
            leaves = weights.leaves
            count = sum(targets[i].numel() for i in batch)

            @torch.enable_grad()
            def gradients(parts: list[tuple[Call, Tensor]]) -> list[Tensor | None]:
                total: list[Tensor | None] = [None] * len(leaves)
                for part in parts:
                    loss = _squared_error(block, *part) / count
                    found = torch.autograd.grad(loss, leaves, allow_unused=True)
                    total = [_sum(*pair) for pair in zip(total, found, strict=True)]
                return total

            parts = list(zip(calls(batch), [targets[i] for i in batch], strict=True))
            first, *others = pool.map(gradients, [parts[i :: pool.size] for i in range(min(pool.size, len(parts)))])
            for other in others:
                first = [_sum(*pair) for pair in zip(first, other, strict=True)]
            weights.spread(first)

        def epoch() -> Iterator[Callable[[], None]]:
            for batch in _steps(shuffled_training(len(targets), held_out, generator), targets, tuning.batch):
                yield partial(step, batch)

        @torch.no_grad()
        def wrong(part: tuple[Call, Tensor]) -> float:
            return float(_squared_error(block, *part))

        whole = sum(float(targets[i].float().square().sum()) for i in held_out)

        def error() -> float:
            weights.refresh()
            parts = pool.map(wrong, list(zip(calls(held_out), [targets[i] for i in held_out], strict=True)))
            return sum(parts) / whole if whole else 0.0

        parameters, rates = zip(*weights.with_rates(tuning.learning_rate, tuning.coded_rate), strict=True)
        return train(block, parameters, tuning, epoch, error, lambda *_: done(), rates)


@contextmanager
def block_threads(block: nn.Module, most: int | None = None) -> Iterator[ThreadPool]:
    """Yield a pool for calls or layers of a block at once, `most` of them; one without threads for a large block."""
    first = next(block.parameters())
    modules = [module for module in block.modules() if isinstance(module, nn.Linear | AqlmLinear)]
    if sum(module.out_features * module.in_features for module in modules) > _PARALLEL:
        yield SERIAL
        return
    with thread_pool(first.device, most) as pool:
        yield pool


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


def _squared_error(block: nn.Module, call: Call, target: Tensor) -> Tensor:
    output = hidden(call.to(torch.float32).run(block))
    return (output - target.to(output.device, torch.float32)).square().sum()


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Add up two gradients; None stands for none."""
    return other if one is None else one if other is None else one + other
