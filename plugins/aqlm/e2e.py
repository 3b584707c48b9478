"""End-to-end fine-tuning: the full-precision model teaches the quantized one (Egiazarian et al. 2024, appendix A).

The loss is KL(teacher || student) over the vocabulary, mean over tokens. What is kept of the teacher is what goes into
its output head, on disk: the head is not quantized and not trained, so both models' logits come from it (for 1024
sequences of 4096 tokens of a 7B model 34 GB, where logits would take 268). Every other parameter outside embeddings is
trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from qharness import ModelError, find_blocks, model_inputs
from qharness.plugins.aqlm.block_progress import Finished
from qharness.plugins.aqlm.replay import Replay, working_on

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LOGITS_AT_ONCE = 1 << 24
_AT_ONCE = 64


@dataclass(frozen=True)
class Teaching:
    """Giagnorio et al. 2025, section 3.4: a sequence a step."""

    epochs: int = 5
    patience: int = 3
    learning_rate: float = 1e-5
    betas: tuple[float, float] = (0.90, 0.999)


class _AtHead(Exception):  # noqa: N818 - no error
    """Ends a forward pass before the output head."""


def head_of(model: PreTrainedModel) -> nn.Module:
    """The output head; raise ModelError for a model without one."""
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Module):
        raise ModelError(f"aqlm: {type(model).__name__} has no output head, so finetune=e2e cannot compare logits")
    return head


def head_input(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """What goes into the output head for token ids int64 [n, length]: [n, length, width]."""
    caught: list[Tensor] = []

    def catch(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
        caught.append(args[0])
        raise _AtHead

    hook = head_of(model).register_forward_pre_hook(catch)
    try:
        model(**model_inputs(model, ids))
    except _AtHead:
        pass
    finally:
        hook.remove()
    return caught[0]


@torch.no_grad()
def remember(
    model: PreTrainedModel, inputs: Sequence[Tensor], finished: Finished, device: torch.device | None = None
) -> None:
    """Keep on disk what the full-precision model hands its head on each batch, where it is not there yet.

    Blocks run one after another on `device`, each on `_AT_ONCE` batches before the next: it need not hold the model.
    """
    missing = [index for index in range(len(inputs)) if finished.read(_lesson(index)) is None]
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
                finished.write(_lesson(index), {"hidden": head_input(model, inputs[index]).cpu()})


def _lesson(index: int) -> str:
    return f"teacher-{index:05d}"


def divergence(head: nn.Module, student: Tensor, teacher: Tensor) -> Tensor:
    """Sum over tokens of KL(teacher || student), from what goes into the head, [n, length, width] both."""
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


def teach(
    model: PreTrainedModel,
    blocks: Sequence[nn.Module],
    inputs: Sequence[Tensor],
    held_out: Sequence[int],
    finished: Finished,
    generator: torch.Generator,
    teaching: Teaching,
    log: Callable[[str], None],
) -> None:
    """Train a quantized model in place, in float32, on what `remember` kept for `inputs`; the best epoch's state stays.

    Best is the least KL on the batches `held_out`, none of which is trained on. `blocks` are those of the model, which
    must be where it is to be trained, whole.
    """
    dtypes = {name: tensor.dtype for name, tensor in _tensors(model)}
    model.float()
    parameters = _trained(model)
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.Adam(parameters, lr=teaching.learning_rate, betas=teaching.betas)
    trained = [index for index in range(len(inputs)) if index not in set(held_out)] or list(held_out)
    least = first = _held_out_error(model, inputs, held_out, finished)
    best, since, epochs = [p.detach().clone() for p in parameters], 0, 0
    with torch.enable_grad(), _checkpointed(blocks):
        while epochs < teaching.epochs and since < teaching.patience:
            epochs += 1
            for place in torch.randperm(len(trained), generator=generator).tolist():
                index = trained[place]
                optimizer.zero_grad()
                loss, tokens = _loss(model, inputs[index], finished, index)
                (loss / tokens).backward()
                optimizer.step()
            error = _held_out_error(model, inputs, held_out, finished)
            since += 1
            if error < least:
                best, least, since = [p.detach().clone() for p in parameters], error, 0
            log(f"aqlm: end-to-end epoch {epochs} of at most {teaching.epochs}, KL {first:.4g} -> {error:.4g}")
    for parameter, value in zip(parameters, best, strict=True):
        parameter.requires_grad_(False)
        parameter.grad = None
        parameter.data = value
    for name, tensor in _tensors(model):
        tensor.data = tensor.data.to(dtypes[name])


def _trained(model: PreTrainedModel) -> list[nn.Parameter]:
    """Every parameter but those of embeddings and of the output head."""
    fixed = {id(parameter) for parameter in head_of(model).parameters()}
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            fixed |= {id(parameter) for parameter in module.parameters()}
    return [parameter for parameter in model.parameters() if id(parameter) not in fixed]


def _loss(model: PreTrainedModel, ids: Tensor, finished: Finished, index: int) -> tuple[Tensor, int]:
    """The sum of KL over the tokens that the model predicts, and how many those are.

    An encoder-decoder model predicts the half of each text that its decoder is given.
    """
    lesson = finished.read(_lesson(index))
    if lesson is None:
        raise ModelError("aqlm: a part of its cache was damaged meanwhile: run the command again")
    student = head_input(model, ids)
    teacher = lesson["hidden"].to(student.device, student.dtype)
    return divergence(head_of(model), student, teacher), student.shape[:-1].numel()


@torch.no_grad()
def _held_out_error(
    model: PreTrainedModel, inputs: Sequence[Tensor], which: Sequence[int], finished: Finished
) -> float:
    parts = [_loss(model, inputs[index], finished, index) for index in which]
    return sum(float(loss) for loss, _ in parts) / sum(tokens for _, tokens in parts)


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


@contextmanager
def _checkpointed(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """Blocks keep their inputs only, and run again when gradients are computed."""
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
