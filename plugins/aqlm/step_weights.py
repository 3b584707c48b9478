"""Trains coded weights through their dequantized matrices, which a step computes once for all of its sequences."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from qharness.plugins.aqlm.kmeans import one_hot_sum, sparse_rows
from qharness.plugins.aqlm.weight import AqlmLinear, dequantize


class StepWeight(nn.Module):
    """An AqlmLinear's kernel while it is trained: its weight W [out, in] as a leaf, and the way from W's gradient back.

    Codes do not change, so the sum of W's gradient over the places of each codebook vector is a sparse matrix
    [M*K, out*J], made once.
    """

    def __init__(self, layer: AqlmLinear) -> None:
        super().__init__()
        books, size, _, self.width = layer.codebooks.shape
        indices = layer.quantized.indices().long()
        flat = (indices + torch.arange(0, books * size, size, device=indices.device)).reshape(-1)
        one_hot = one_hot_sum(flat, torch.ones(len(flat), device=flat.device), books * size)
        places, vectors = one_hot.col_indices() // books, (books * size, len(flat) // books)
        self.sums = sparse_rows(one_hot.crow_indices(), places, one_hot.values(), vectors)
        self.leaf = torch.empty(0)

    def refresh(self, layer: AqlmLinear) -> None:
        """Compute W anew, after codebooks or scales have changed."""
        layer.codebooks.requires_grad_(False)  # `spread` computes their gradients
        layer.scales.requires_grad_(False)
        self.leaf = layer.quantized.dequantize().detach().requires_grad_(True)

    def spread(self, layer: AqlmLinear, gradient: Tensor | None) -> None:
        """Set the gradients of codebooks and scales from W's [out, in]; None where no input reached the layer."""
        if gradient is None:
            layer.codebooks.grad = layer.scales.grad = None
            return
        by_vector = self.sums @ (gradient * layer.scales.view(-1, 1)).view(-1, self.width)
        layer.codebooks.grad = by_vector.view_as(layer.codebooks)
        unscaled = dequantize(layer.codebooks, layer.codes, torch.ones_like(layer.scales))
        layer.scales.grad = (gradient * unscaled).sum(1).view_as(layer.scales)

    def forward(self, layer: AqlmLinear, x: Tensor) -> Tensor:
        """Map x [..., in] to [..., out]."""
        return functional.linear(x, self.leaf, layer.bias)


class StepWeights:
    """The parameters of a block in training: W of each AqlmLinear, and all parameters that are not coded."""

    def __init__(self, block: nn.Module) -> None:
        self.layers = [module for module in block.modules() if isinstance(module, AqlmLinear)]
        self.kernels = [StepWeight(layer) for layer in self.layers]
        coded = {id(parameter) for layer in self.layers for parameter in (layer.codebooks, layer.scales)}
        self.others = [parameter for parameter in block.parameters() if id(parameter) not in coded]

    def with_rates(self, rate: float, coded_rate: float) -> list[tuple[nn.Parameter, float]]:
        """Return all parameters with learning rates: `coded_rate` times their root mean square for what is coded."""
        coded = [parameter for layer in self.layers for parameter in (layer.codebooks, layer.scales)]
        sizes = [float(parameter.detach().float().square().mean().sqrt()) for parameter in coded]
        rates = [coded_rate * size for size in sizes]
        return [*zip(coded, rates, strict=True), *((parameter, rate) for parameter in self.others)]

    @property
    def leaves(self) -> list[Tensor]:
        """Return the tensors to take gradients of."""
        return [*(kernel.leaf for kernel in self.kernels), *self.others]

    def refresh(self) -> None:
        """Compute each W anew."""
        for kernel, layer in zip(self.kernels, self.layers, strict=True):
            kernel.refresh(layer)

    def spread(self, gradients: list[Tensor | None]) -> None:
        """Set the gradient of every parameter from those of `leaves`."""
        for kernel, layer, gradient in zip(self.kernels, self.layers, gradients, strict=False):
            kernel.spread(layer, gradient)
        for parameter, gradient in zip(self.others, gradients[len(self.layers) :], strict=True):
            parameter.grad = gradient


@contextmanager
def step_weights(block: nn.Module) -> Iterator[StepWeights]:
    """Let a block's AqlmLinears, in float32, run by StepWeight in this context."""
    weights = StepWeights(block)
    for kernel, layer in zip(weights.kernels, weights.layers, strict=True):
        layer.kernel = kernel
    try:
        yield weights
    finally:
        for layer in weights.layers:
            layer.kernel = None
