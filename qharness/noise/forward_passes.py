"""Forward passes over a few sequences, one at a time: in full precision, and of a quantized model against it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from qharness.errors import QHarnessError, first_line
from qharness.models.blocks import block_linears, find_blocks
from qharness.models.inputs import model_inputs
from qharness.models.nonfinite import nonfinite_error, rows_not_finite
from qharness.models.onednn_linear import onednn_linear
from qharness.noise.layers import effective_weight, seen_input
from qharness.noise.relative import Maxima, RelativeNoise, relative_noise
from qharness.progress import phase
from qharness.results import LayerReport

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Watch = Callable[[str, Tensor], None]


@dataclass(frozen=True)
class Reference:
    """A model in full precision, as the comparison needs it once it is no longer in memory.

    `blocks`: in the order in which a forward pass reaches them, then those it does not reach. `layers`: shape
    (out, in) of each Linear of the blocks; its weight is a file of `folder`. `hidden`: what each block put out,
    [1, length, width] a sequence, on the CPU. `maxima`: of the layers' inputs.
    """

    blocks: Sequence[str]
    layers: Mapping[str, torch.Size]
    folder: Path
    hidden: Mapping[str, Sequence[Tensor]]
    maxima: Mapping[str, Maxima]

    def weight(self, layer: str) -> Tensor:
        """A layer's weight [out, in], read from its file as it is used."""
        found: Tensor = torch.load(_file(self.folder, layer), mmap=True, weights_only=True)
        return found


def full_precision(model: PreTrainedModel, sequences: Sequence[Tensor], folder: Path) -> Reference:
    """Run a model on sequences int64 [length], and record the reference for its quantized forms.

    Weights go to files in `folder`, one at a time. Raises QHarnessError where they do not fit.
    """
    blocks, linears = find_blocks(model), block_linears(model)
    order: list[str] = []
    hidden: dict[str, list[Tensor]] = {name: [] for name in blocks}
    maxima = {name: Maxima() for name in linears}

    def leave(block: str, output: Tensor) -> None:
        order.append(block)
        hidden[block].append(output.cpu())

    with _watching(linears, lambda layer, x: maxima[layer].add(x), blocks, leave):
        run(model, sequences, "full precision")
    for name, linear in linears.items():
        try:
            torch.save(linear.weight.detach().cpu(), _file(folder, name))
        except (OSError, RuntimeError) as error:  # PyTorch's own writer raises the latter for a full disk
            raise QHarnessError(f"{folder}: weights could not be put aside there: {first_line(error)}") from None
    shapes = {name: linear.weight.shape for name, linear in linears.items()}
    return Reference(list(dict.fromkeys([*order, *blocks])), shapes, folder, hidden, maxima)


def quantized(model: PreTrainedModel, sequences: Sequence[Tensor], reference: Reference) -> list[LayerReport]:
    """Compare a quantized model with full precision on the same sequences; return a report a layer, by depth.

    Weight noise is that of the layer's weight; activation noise, that of rounding what reaches the layer in the
    quantized model; accumulated noise, that of its block's output. Each is NaN where it is undefined or not found.
    """
    modules = dict(model.named_modules())
    layers = {name: modules[name] for name in reference.layers if name in modules}
    weights = {}
    for name, module in layers.items():
        weight = effective_weight(module, reference.layers[name], model.device)
        if weight is not None:
            weights[name] = relative_noise(reference.weight(name), weight.cpu())
    rounding = {name: seen for name, module in layers.items() if (seen := seen_input(module))}
    activations = {name: RelativeNoise() for name in rounding}
    accumulated = {name: RelativeNoise() for name in reference.blocks}
    counts = dict.fromkeys(reference.blocks, 0)

    def leave(block: str, output: Tensor) -> None:
        accumulated[block].add(reference.hidden[block][counts[block]], output.cpu())
        counts[block] += 1

    entered = {name: layers[name] for name in rounding}
    left = {name: modules[name] for name in reference.blocks if name in modules}
    with _watching(entered, lambda layer, x: activations[layer].add(x, rounding[layer](x)), left, leave):
        run(model, sequences, "quantized")
    nothing = RelativeNoise()
    return [
        LayerReport(
            name,
            block,
            depth,
            weights.get(name, math.nan),
            activations.get(name, nothing).value,
            accumulated[block].value,
            reference.maxima[name].spread(),
        )
        for depth, block in enumerate(reference.blocks, 1)
        for name in reference.layers
        if name.startswith(f"{block}.")
    ]


def run(model: PreTrainedModel, sequences: Sequence[Tensor], what: str) -> None:
    """Run forward passes, one sequence each, so that nothing depends on a batch; empty sequences are skipped.

    Raises ModelError, naming a layer, where logits are not finite.
    """
    texts = [sequence for sequence in sequences if len(sequence)]
    with torch.no_grad(), phase(f"measure {what}", "sequences") as progress:
        for number, sequence in enumerate(texts, 1):
            inputs = model_inputs(model, sequence[None])
            with onednn_linear():
                logits = model(**inputs).logits
            if rows_not_finite(logits):
                raise nonfinite_error(model, inputs)
            progress(number, len(texts))


def _file(folder: Path, layer: str) -> Path:
    return folder / f"{layer}.pt"


def _watching(
    layers: Mapping[str, nn.Module], enter: Watch, blocks: Mapping[str, nn.Module], leave: Watch
) -> ExitStack:
    """Call `enter` with each layer's input and `leave` with each block's hidden states, with the name."""

    def before(name: str) -> Callable[..., None]:
        return lambda _module, args, kwargs: enter(name, args[0] if args else next(iter(kwargs.values())))

    def after(name: str) -> Callable[..., None]:
        return lambda _module, _args, output: leave(name, output if isinstance(output, Tensor) else output[0])

    hooks = ExitStack()
    for name, module in layers.items():
        hooks.enter_context(module.register_forward_pre_hook(before(name), with_kwargs=True))
    for name, module in blocks.items():
        hooks.enter_context(module.register_forward_hook(after(name)))
    return hooks
