"""Models whose Linears hold random codes, and their dequantized twins."""

from __future__ import annotations

import torch
from torch import nn

from qharness import block_linears, replace_module
from qharness.plugins.aqlm.weight import AqlmLinear, QuantizedWeight


def random_weight(
    rows: int,
    columns: int,
    books: int,
    bits: int,
    group: int,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
) -> QuantizedWeight:
    """A weight of about the size that a new model's has."""
    codebooks = 0.05 * torch.randn(books, 1 << bits, 1, group, generator=generator)
    indices = torch.randint(0, 1 << bits, (rows, columns // group, books), generator=generator)
    scales = 0.5 + torch.rand(rows, 1, 1, 1, generator=generator)
    return QuantizedWeight.from_indices(codebooks.to(dtype), indices, scales.to(dtype))


def with_random_codes(model: nn.Module, books: int, bits: int, group: int, seed: int = 0) -> nn.Module:
    """Put random codes in place of every Linear of the blocks."""
    generator = torch.Generator().manual_seed(seed)
    for name, linear in block_linears(model).items():
        weight = random_weight(*linear.weight.shape, books, bits, group, generator, linear.weight.dtype)
        replace_module(model, name, AqlmLinear(weight, linear.bias))
    return model


def densely(model: nn.Module) -> nn.Module:
    """The same model with plain Linears that hold the dequantized weights."""
    for name, module in list(model.named_modules()):
        if isinstance(module, AqlmLinear):
            linear = nn.Linear(module.in_features, module.out_features, bias=module.bias is not None, device="meta")
            linear.weight = nn.Parameter(module.quantized.dequantize().detach(), requires_grad=False)
            linear.bias = module.bias
            replace_module(model, name, linear)
    return model
