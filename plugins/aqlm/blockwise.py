"""AQLM on a whole model, block after block: each is quantized on the outputs of the quantized blocks before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from qharness import find_blocks, replace_module
from qharness.plugins.aqlm.bit_allocation import Shape
from qharness.plugins.aqlm.block import Tuning, collect_xtx, linear_of, quantize_block, tune_block
from qharness.plugins.aqlm.block_progress import PartCache, Steps
from qharness.plugins.aqlm.layer import Search
from qharness.plugins.aqlm.replay import Replay, batches, hidden, working_on
from qharness.plugins.aqlm.weight import AqlmLinear, QuantizedWeight

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_CPU_BATCH = 2  # sequences of a call: enough for fast products, and few, so that threads share a step's calls
_HELD_OUT = 8  # one batch in so many: 128 of the paper's 1024 sequences


@dataclass(frozen=True)
class BlockPlan:
    """How a model is quantized. `tuning` None: blocks are not trained."""

    shape: Shape
    search: Search
    tuning: Tuning | None
    seed: int


def quantize_blocks(
    model: PreTrainedModel,
    sequences: Sequence[Tensor],
    names: Sequence[str],
    plan: BlockPlan,
    cache: PartCache,
    log: Callable[[str], None],
    steps: Steps,
    device: torch.device | None = None,
) -> None:
    """Replace the Linears `names` of a model, in place; read the blocks that `cache` holds, and write it the others.

    Each block is on `device` while it is worked on. `steps` has those of all blocks: `block_steps` for each.
    """
    blocks = find_blocks(model)
    device = device or model.device
    inputs = batches(sequences, _CPU_BATCH if device.type == "cpu" else 8)
    replay = Replay.of(model, inputs, blocks, device)
    order = [*replay.blocks, *(name for name in blocks if name not in replay.blocks)]
    for number, name in enumerate(order, 1):
        block = blocks[name]
        reached = name in replay.blocks
        inner = [full.removeprefix(name + ".") for full in names if full.startswith(name + ".")]
        part = cache.read(f"block-{number:04d}")
        with working_on(block, replay.device):
            if part is not None:
                _restore(block, inner, part)
                steps.drop(block_steps(len(inner), plan))
                log(f"aqlm: block {number} of {len(order)} was done before")
            else:
                said = _quantize(replay, name, block, inner, plan, steps)
                cache.write(f"block-{number:04d}", block.state_dict())
                log(f"aqlm: block {number} of {len(order)}: {said}")
            if reached and number < len(order):
                replay.advance(name)


def block_steps(layers: int, plan: BlockPlan) -> int:
    """How many steps a block of so many Linears takes: one for each, and one for each epoch of its tuning."""
    return layers + (plan.tuning.epochs if plan.tuning and layers else 0)


def _quantize(replay: Replay, name: str, block: nn.Module, inner: Sequence[str], plan: BlockPlan, steps: Steps) -> str:
    """Quantize a block and train it; return a line that says how well."""
    if not inner:
        return "nothing to quantize"
    begun = steps.done
    reached = name in replay.blocks
    xtx = collect_xtx(block, inner, replay.calls(name) if reached else ())
    targets = []
    if reached and plan.tuning:
        with torch.no_grad():
            targets = [hidden(call.run(block)).cpu() for call in replay.calls(name)]

    def seeds(layer: str) -> torch.Generator:
        return generator(plan.seed, name, layer)

    errors = quantize_block(block, xtx, plan.shape, seeds, plan.search, steps.take)
    said = f"mean error of its layers {sum(errors.values()) / len(errors):.3g}"
    unseen = [layer for layer, inputs in xtx.items() if not inputs.diagonal().any()]
    if reached and unseen:  # experts that no token chose, or weights that are read and not called
        said += f", {len(unseen)} of them by their weights alone, for no token reached them ({unseen[0]})"
    if targets and plan.tuning:
        calls, draw = partial(replay.calls, name), generator(plan.seed, name, "tuning")
        tuned = tune_block(block, calls, targets, held_out(len(targets)), draw, plan.tuning, steps.take)
        said += f", of the block {tuned.before:.3g}, tuned {tuned.after:.3g}"
    steps.drop(block_steps(len(inner), plan) - (steps.done - begun))
    return said


def held_out(count: int) -> list[int]:
    """Return which of `count` batches measure the error and are not trained on."""
    return list(range(0, count, _HELD_OUT))


def generator(seed: int, *names: str) -> torch.Generator:
    """Return a generator for one part of the work, seeded by its names, so that work can go on from any part."""
    digest = sha256("\n".join([str(seed), *names]).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _restore(block: nn.Module, inner: Sequence[str], part: dict[str, Tensor]) -> None:
    """Replace a block's Linears, and load the block's state from the cache's `part`."""
    for name in inner:
        linear = linear_of(block, name)
        weight = QuantizedWeight(
            *(part[f"{name}.{what}"].to(linear.weight.device) for what in ("codebooks", "codes", "scales"))
        )
        replace_module(block, name, AqlmLinear(weight, None if linear.bias is None else linear.bias.detach()))
    block.load_state_dict(part)
