"""Converts transformers' own forms of linear layers into `nn.Linear`s of the same arithmetic, and back.

Quantizers look for `nn.Linear`. transformers has two other forms of it: GPT-2's `Conv1D`, whose weight is transposed,
and the fused parameters of experts. Both are replaced before a model is quantized or sized.
"""

from __future__ import annotations

from torch import nn
from transformers.pytorch_utils import Conv1D

from qharness.models.blocks import replace_module
from qharness.models.experts import SplitExperts, is_fused, linear_from


def to_linears(model: nn.Module) -> None:
    """Replace every Conv1D and all fused experts of a model, in place. Weights keep their memory.

    A model without either, or one that was converted before, stays as it is.
    """
    for name, module in list(model.named_modules()):
        if not name:
            continue
        if type(module) is Conv1D and type(module.weight) is nn.Parameter and module.weight.is_floating_point():
            replace_module(model, name, linear_from(module.weight.detach().t(), module.bias.detach()))
        elif is_fused(module):
            replace_module(model, name, SplitExperts(module))


def first_converted(model: nn.Module) -> str | None:
    """The name of the first module that `to_linears` would replace; None if it would replace none."""
    return next((name for name, module in model.named_modules() if type(module) is Conv1D or is_fused(module)), None)


def from_linears(model: nn.Module, original: nn.Module) -> str | None:
    """Undo `to_linears`, in place. `original`: the model as its class makes it, on whatever device.

    Returns the name of a module that cannot be put back because a quantizer has replaced a Linear in it, or None.
    """
    name: str
    for name, module in list(model.named_modules()):
        if isinstance(module, SplitExperts):
            fused = module.fused()
            if fused is None:
                return name
            replace_module(model, name, fused)
    for name, module in original.named_modules():
        if type(module) is Conv1D:
            linear = model.get_submodule(name)
            if isinstance(linear, Conv1D):
                continue
            if type(linear) is not nn.Linear or type(linear.weight) is not nn.Parameter:
                return name
            replace_module(model, name, _conv1d(linear))
    return None


def _conv1d(linear: nn.Linear) -> Conv1D:
    """A Conv1D with a Linear's weights."""
    conv = Conv1D(linear.out_features, linear.in_features).to("meta")
    conv.weight = nn.Parameter(linear.weight.detach().t().contiguous(), requires_grad=False)
    conv.bias = nn.Parameter(linear.bias.detach(), requires_grad=False)
    return conv.eval()
