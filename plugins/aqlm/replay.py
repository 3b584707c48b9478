"""Runs a model up to one of its blocks, with the blocks before it replaced by their outputs.

The model's own code makes masks, positions and all other arguments of its blocks, so nothing here knows an
architecture. A block that is done becomes a stub, which returns the output of the last block done of its stack. These
outputs are stored on the CPU, one a stack, and reaching a block costs the embeddings and the masks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from qharness import model_inputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Tree = Any
"""Tensors in tuples, lists and dicts, with other values among them."""


def map_tensors(tree: Tree, change: Callable[[Tensor], Tensor]) -> Tree:
    """Return the same tree with every tensor changed."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, tuple | list):
        return type(tree)(map_tensors(value, change) for value in tree)
    if type(tree) is dict:
        return {key: map_tensors(value, change) for key, value in tree.items()}
    return tree


def hidden(output: Tree) -> Tensor:
    """Return the hidden states [n, length, width] of a block's output: the tensor itself, or the first of a tuple."""
    return output if isinstance(output, Tensor) else output[0]


@dataclass(frozen=True)
class Call:
    """The arguments of one call of a block."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def on(self, device: torch.device) -> Call:
        """Move every tensor to `device`."""
        args, kwargs = map_tensors((self.args, self.kwargs), lambda t: t.to(device))
        return Call(args, kwargs)

    def to(self, dtype: torch.dtype) -> Call:
        """Convert every floating-point tensor to `dtype`."""
        args, kwargs = map_tensors((self.args, self.kwargs), lambda t: t.to(dtype) if t.is_floating_point() else t)
        return Call(args, kwargs)

    def run(self, block: nn.Module) -> Tree:
        """Call the block; return its output."""
        return block(*self.args, **self.kwargs)


class _Reached(Exception):  # noqa: N818 - no error
    """Ends a forward pass at a module."""


def call_of(module: nn.Module, run: Callable[[], object]) -> Call:
    """Return the arguments of the first call of a module in `run()`, which ends there."""
    caught: list[Call] = []

    def catch(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        caught.append(Call(args, kwargs))
        raise _Reached

    with module.register_forward_pre_hook(catch, with_kwargs=True), suppress(_Reached):
        run()
    return caught[0]


def batches(sequences: Sequence[Tensor], size: int, tokens: int = 8192) -> list[Tensor]:
    """Stack sequences of one length: int64 [n, length] with n <= size and, unless n is 1, n * length <= tokens.

    Lengths come in the order of their first sequence; empty sequences are left out.
    """
    by_length: dict[int, list[Tensor]] = {}
    for sequence in sequences:
        if len(sequence):
            by_length.setdefault(len(sequence), []).append(sequence)
    found = []
    for length, equal in by_length.items():
        step = max(min(size, tokens // length), 1)
        found += [torch.stack(equal[i : i + step]) for i in range(0, len(equal), step)]
    return found


@contextmanager
def working_on(block: nn.Module, device: torch.device) -> Iterator[None]:
    """Move a block to `device` for the time of the context."""
    home = next(block.parameters()).device
    if home == device:
        yield
        return
    block.to(device)
    try:
        yield
    finally:
        block.to(home)


@dataclass
class Replay:
    """A model and its batches of token ids. `blocks`: dotted names in the order in which a forward pass reaches them.

    `device`: where blocks run; the caller moves a block there, and the rest of the model need not be there.
    """

    model: PreTrainedModel
    inputs: Sequence[Tensor]
    blocks: Sequence[str]
    device: torch.device
    _last: dict[str, str] = field(default_factory=dict)
    _outputs: dict[str, list[Tree]] = field(default_factory=dict)
    _common: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        model: PreTrainedModel,
        inputs: Sequence[Tensor],
        blocks: Mapping[str, nn.Module],
        device: torch.device | None = None,
    ) -> Replay:
        """Find the order of the blocks by running the first batch's first tokens; leave out blocks never reached."""
        order: list[str] = []
        with ExitStack() as hooks, torch.no_grad():
            for name, block in blocks.items():
                hooks.enter_context(block.register_forward_pre_hook(lambda _, __, name=name: order.append(name)))
            model(**model_inputs(model, inputs[0][:1, :8]))
        return cls(model, inputs, list(dict.fromkeys(order)), device or model.device)

    def fresh(self, inputs: Sequence[Tensor]) -> Replay:
        """Return a replay of the same model on other batches, with no block done."""
        return Replay(self.model, inputs, self.blocks, self.device)

    def calls(self, block: str, which: Sequence[int] | None = None) -> Iterator[Call]:
        """Yield the call of `block` on each batch, or on those of these indices; all blocks before it must be done.

        Its tensors are on the device where blocks run.
        """
        target = self.model.get_submodule(block)
        for index in range(len(self.inputs)) if which is None else which:
            inputs = model_inputs(self.model, self.inputs[index])
            with self.done(index), torch.no_grad():
                call = call_of(target, partial(self.model, **inputs))
            yield call.on(self.device)

    def advance(self, block: str) -> None:
        """Store the output of `block` on each batch, for the blocks after it."""
        module = self.model.get_submodule(block)
        with torch.no_grad():
            outputs = [self._to_cpu(call.run(module)) for call in self.calls(block)]
        stack = block.rpartition(".")[0]
        self._last[stack] = block
        self._outputs[stack] = outputs

    def _to_cpu(self, output: Tree) -> Tree:
        """Copy an output to the CPU; store what many batches share, such as T5's position biases, only once."""
        if isinstance(output, Tensor):
            return output.cpu()
        first, *others = output
        return type(output)([first.cpu(), *(map_tensors(other, self._once) for other in others)])

    def _once(self, tensor: Tensor) -> Tensor:
        tensor = tensor.cpu()
        for known in self._common:
            if known.shape == tensor.shape and known.dtype == tensor.dtype and torch.equal(known, tensor):
                return known
        self._common.append(tensor)
        return tensor

    @contextmanager
    def done(self, index: int) -> Iterator[None]:
        """Let blocks that are done return the output of the last of their stack on batch `index`, in this context."""
        replaced = []
        try:
            for stack, last in self._last.items():
                stub = _Stub(map_tensors(self._outputs[stack][index], lambda t: t.to(self.model.device)))
                for name in self.blocks[: self.blocks.index(last) + 1]:
                    if name.rpartition(".")[0] == stack:
                        module = self.model.get_submodule(name)
                        module.forward = stub
                        replaced.append(module)
            yield
        finally:
            for module in replaced:
                del module.forward


@dataclass(frozen=True)
class _Stub:
    output: Tree

    def __call__(self, *args: object, **kwargs: object) -> Tree:
        return self.output
