"""End-to-end fine-tuning: distills the full-precision model into the quantized one (Egiazarian et al. 2024, app. A).

The loss is KL(teacher || student) over the vocabulary, mean over tokens. The output head is neither quantized nor
trained, so both models' logits come from it, and the teacher's hidden states that go into it are all that is cached on
disk: 34 GB for 1024 sequences of 4096 tokens of a 7B model, whose logits would take 268. Every other parameter outside
embeddings is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from qharness import ModelError, find_blocks, model_inputs
from qharness.plugins.aqlm.block_progress import PartCache, Steps
from qharness.plugins.aqlm.early_stopping import Training, shuffled_training, train
from qharness.plugins.aqlm.replay import Replay, call_of, working_on

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LOGITS_AT_ONCE = 1 << 24
_AT_ONCE = 64


DISTILLATION = Training(epochs=5, patience=3, learning_rate=1e-5, betas=(0.90, 0.999))
"""As Giagnorio et al. 2025 train, section 3.4: a sequence a step."""


def head_of(model: PreTrainedModel) -> nn.Module:
    """Return the output head; raise ModelError for a model without one."""
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Module):
        raise ModelError(f"aqlm: {type(model).__name__} has no output head, so finetune=e2e cannot compare logits")
    return head


def head_input(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Return the hidden states that go into the output head for token ids int64 [n, length]: [n, length, width]."""
    states: Tensor = call_of(head_of(model), lambda: model(**model_inputs(model, ids))).args[0]
    return states


@torch.no_grad()
def cache_teacher(
    model: PreTrainedModel, inputs: Sequence[Tensor], cache: PartCache, device: torch.device | None = None
) -> None:
    """Write the full-precision model's hidden states before its head to `cache`, for the batches that it lacks.

    Each block runs on 64 batches before the next does, so that `device` need not hold the model.
    """
    missing = [index for index in range(len(inputs)) if cache.read(_teacher(index)) is None]
    if not missing:
        return
    blocks = find_blocks(model)
    empty = Replay.of(model, inputs, blocks, device)
    for start in range(0, len(missing), _AT_ONCE):
        part = missing[start : start + _AT_ONCE]
        replay = empty.fresh([inputs[index] for index in part])
        for name in replay.blocks:
            with working_on(blocks[name], replay.device):
                replay.advance(name)
        for place, index in enumerate(part):
            with replay.done(place):
                cache.write(_teacher(index), {"hidden": head_input(model, inputs[index]).cpu()})


def _teacher(index: int) -> str:
    return f"teacher-{index:05d}"


def divergence(head: nn.Module, student: Tensor, teacher: Tensor) -> Tensor:
    """Return the sum over tokens of KL(teacher || student) for hidden states [n, length, width] before the head."""
    student, teacher = student.flatten(0, 1), teacher.flatten(0, 1)
    vocabulary = head(student[:1]).shape[-1]
    step = max(_LOGITS_AT_ONCE // vocabulary, 1)

    def part(own: Tensor, theirs: Tensor) -> Tensor:
        target = head(theirs).float().log_softmax(-1)
        return nn.functional.kl_div(head(own).float().log_softmax(-1), target, reduction="sum", log_target=True)

    total = student.new_zeros((), dtype=torch.float32)
    for own, theirs in zip(student.split(step), teacher.split(step), strict=True):
        total = total + checkpoint(part, own, theirs, use_reentrant=False)
    return total


def distill(
    model: PreTrainedModel,
    blocks: Sequence[nn.Module],
    inputs: Sequence[Tensor],
    held_out: Sequence[int],
    cache: PartCache,
    generator: torch.Generator,
    training: Training,
    log: Callable[[str], None],
    steps: Steps,
) -> None:
    """Train a quantized model in place, in float32, towards the teacher's hidden states that `cache` holds of `inputs`.

    A batch is a step. The model ends in the state of least KL on the batches `held_out`, on which it is not trained.
    `blocks` are the model's; the whole model must be on the device on which it is trained. `steps` has one an epoch.
    """

    def step(index: int) -> None:
        loss, tokens = _loss(model, inputs[index], cache, index)
        (loss / tokens).backward()

    def epoch() -> Iterator[Callable[[], None]]:
        for index in shuffled_training(len(inputs), held_out, generator):
            yield partial(step, index)

    def say(number: int, before: float, now: float) -> None:
        steps.take()
        log(f"aqlm: end-to-end epoch {number} of at most {training.epochs}, KL {before:.4g} -> {now:.4g}")

    with _checkpointed(blocks):
        train(model, _trained(model), training, epoch, lambda: _held_out_error(model, inputs, held_out, cache), say)


def _trained(model: PreTrainedModel) -> list[nn.Parameter]:
    """Return every parameter but those of embeddings and of the output head."""
    fixed = {id(parameter) for parameter in head_of(model).parameters()}
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            fixed |= {id(parameter) for parameter in module.parameters()}
    return [parameter for parameter in model.parameters() if id(parameter) not in fixed]


def _loss(model: PreTrainedModel, ids: Tensor, cache: PartCache, index: int) -> tuple[Tensor, int]:
    """Return the sum of KL over the tokens that the model predicts, and how many those are.

    An encoder-decoder model predicts the half of each text that its decoder is given.
    """
    part = cache.read(_teacher(index))
    if part is None:
        raise ModelError("aqlm: a part of its cache was damaged meanwhile: run the command again")
    student = head_input(model, ids)
    teacher = part["hidden"].to(student.device, student.dtype)
    return divergence(head_of(model), student, teacher), student.shape[:-1].numel()


@torch.no_grad()
def _held_out_error(model: PreTrainedModel, inputs: Sequence[Tensor], which: Sequence[int], cache: PartCache) -> float:
    parts = [_loss(model, inputs[index], cache, index) for index in which]
    return sum(float(loss) for loss, _ in parts) / sum(tokens for _, tokens in parts)


@contextmanager
def _checkpointed(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """Let blocks store their inputs only, and run again when gradients are computed."""
    for block in blocks:
        block.forward = _Checkpointed(block.forward)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward


@dataclass(frozen=True)
class _Checkpointed:
    forward: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return checkpoint(self.forward, *args, use_reentrant=False, **kwargs)
