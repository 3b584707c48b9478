"""Measures the part of a model's blocks that a quantizer leaves in full precision, by the model before and after."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from qharness.errors import ModelError
from qharness.models.blocks import block_linears, find_blocks
from qharness.results.finished import NOTED_SHARE

if TYPE_CHECKING:
    from transformers import PreTrainedModel

REFUSED_ABOVE = 0.50  # a larger one is an error unless asked for
_SAMPLE = 256  # values of a parameter by which it is recognised
_NAMED = 3  # modules in a message
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.|$)")


@dataclass(frozen=True)
class Untouched:
    """The share of the blocks' parameters that stayed in full precision, 0 to 1, in all and by module.

    `modules`: the largest first; `model.layers.*.mlp` is that module of all layers.
    """

    share: float
    modules: Mapping[str, float]

    @classmethod
    def of_counts(cls, names: Iterable[str], counts: Mapping[str, int]) -> Self:
        """Count the named parameters; `counts`: the numbers in each parameter of the blocks."""
        total = sum(counts.values())
        found = Counter[str]()
        for name in names:
            found[_NUMBER.sub("*", name.rpartition(".")[0])] += counts[name]
        return cls(sum(found.values()) / total, {name: count / total for name, count in found.most_common()})

    @property
    def notable(self) -> bool:
        """Whether the share is so large that a reader of figures must know."""
        return self.share > NOTED_SHARE

    def __str__(self) -> str:
        largest = ", ".join(f"{name} ({share:.0%})" for name, share in list(self.modules.items())[:_NAMED])
        return f"{self.share:.0%} of the blocks' parameters stay in full precision: {largest}"

    def require_less_than_half(self, quantizer: str) -> None:
        """Raise ModelError if more than half stayed in full precision."""
        if self.share > REFUSED_ABOVE:
            raise ModelError(f"{quantizer} quantizes too little of this model: {self}; --allow-untouched runs it so")


@dataclass(frozen=True)
class Snapshot:
    """The parameters of a model's blocks before it is quantized, by name: size, shape and some of the values."""

    counts: Mapping[str, int]
    samples: Mapping[str, Tensor]
    shapes: Mapping[str, torch.Size]

    @classmethod
    def of(cls, model: PreTrainedModel) -> Self:
        """Record a model's blocks; if it has none, everything but embeddings and the output head."""
        parameters = dict(_block_parameters(model))
        return cls(
            {name: each.numel() for name, each in parameters.items()},
            {name: _sample(each) for name, each in parameters.items()},
            {name: each.shape for name, each in parameters.items()},
        )

    def untouched(self, model: nn.Module) -> Untouched:
        """The part that is still in full precision in the quantized model.

        A quantizer that replaces weights (by codes, by integers) may train the rest: every parameter that is still a
        plain tensor of real numbers counts. One that replaces none simulates: every parameter of the old values counts.
        """
        now = dict(model.named_buffers()) | dict(model.named_parameters())
        plain = {name: now[name] for name, shape in self.shapes.items() if name in now and _is_plain(now[name], shape)}
        if len(plain) == len(self.shapes):
            plain = {name: each for name, each in plain.items() if _equal(_sample(each), self.samples[name])}
        return Untouched.of_counts(plain, self.counts)


def least_untouched(model: PreTrainedModel) -> Untouched:
    """The part that a quantizer leaves which takes every Linear of the blocks, and nothing else."""
    counts = {name: each.numel() for name, each in _block_parameters(model)}
    weights = {f"{name}.weight" for name in block_linears(model)}
    return Untouched.of_counts([name for name in counts if name not in weights], counts)


def require_finite(model: nn.Module) -> None:
    """Raise ModelError, naming the first parameter that holds NaN or infinity, if there is one."""
    for name, parameter in model.named_parameters():
        if parameter.is_meta or not _is_plain(parameter, parameter.shape) or not parameter.numel():
            continue
        if not all(bound.isfinite() for bound in parameter.detach().aminmax()):
            raise ModelError(
                f"{name} has values that are no finite numbers: the model cannot be quantized; "
                "is its checkpoint damaged, or its dtype too narrow (--dtype float32)?"
            )


def _block_parameters(model: PreTrainedModel) -> Iterable[tuple[str, nn.Parameter]]:
    try:
        inside = tuple(f"{name}." for name in find_blocks(model))
    except ModelError:
        ends = (model.get_input_embeddings(), model.get_output_embeddings())
        outside = {id(parameter) for end in ends if end is not None for parameter in end.parameters()}
        return [(name, each) for name, each in model.named_parameters() if id(each) not in outside]
    return [(name, each) for name, each in model.named_parameters() if name.startswith(inside)]


def _is_plain(tensor: Tensor, shape: torch.Size) -> bool:
    """Whether a tensor holds real numbers of 16 bits or more, and is no library's own kind."""
    ordinary = type(tensor) in (Tensor, nn.Parameter) and tensor.is_floating_point() and tensor.dtype.itemsize > 1
    return ordinary and tensor.shape == shape


def _sample(tensor: Tensor) -> Tensor:
    """At most 256 values, spread over a tensor, in its dtype, on the CPU."""
    tensor = tensor.detach().reshape(1) if tensor.dim() == 0 else tensor.detach()
    if not tensor.numel():
        return tensor.cpu()
    indices = torch.linspace(0, tensor.numel() - 1, min(_SAMPLE, tensor.numel()), dtype=torch.float64).long()
    return tensor[torch.unravel_index(indices.to(tensor.device), tensor.shape)].cpu()


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)
