"""Finds a model's transformer blocks and their Linear layers in the module tree, whatever its architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from qharness.errors import ModelError
from qharness.models.checkpoint_formats import quant_method

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def find_blocks(model: PreTrainedModel) -> dict[str, nn.Module]:
    """The transformer blocks by dotted name, in the order of the module tree.

    A block is an element of an outermost ModuleList whose elements hold Linear layers: attention and feed-forward
    layers are inside one, embeddings and the output head are not. Raises ModelError if the model has none, or is
    quantized already.
    """
    if method := quant_method(model.config):
        raise ModelError(f"the model is already quantized ({method}): it runs with --quant none")
    blocks: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        if not isinstance(module, nn.ModuleList) or any(name.startswith(block + ".") for block in blocks):
            continue
        for index, element in enumerate(module):
            if any(isinstance(inner, nn.Linear) for inner in element.modules()):
                blocks[f"{name}.{index}"] = element
    if not blocks:
        raise ModelError(f"{type(model).__name__} has no transformer blocks with Linear layers: it cannot be quantized")
    return blocks


def block_linears(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """Every Linear of the attention and feed-forward layers by dotted name, in the order of the module tree.

    Subclasses that compute something else, Llama 4's router for one, are left out.
    """
    return {
        f"{block}.{name}": module
        for block, element in find_blocks(model).items()
        for name, module in element.named_modules()
        if isinstance(module, nn.Linear) and _is_linear(module)
    }


def head_linear(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """The output head by dotted name; empty if it is no Linear, or shares its weights with the embeddings."""
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear) or not _is_linear(head) or shares_head(model):
        return {}
    return {name: module for name, module in model.named_modules() if module is head}


def shares_head(model: PreTrainedModel) -> bool:
    """Whether the output head is a Linear whose weights are the embeddings'."""
    head = model.get_output_embeddings()
    return isinstance(head, nn.Linear) and head.weight is getattr(model.get_input_embeddings(), "weight", None)


def says_tied(config: PretrainedConfig) -> bool:
    """Whether a configuration says that the head shares the embeddings' weights; many kinds say nothing."""
    return bool(getattr(config, "tie_word_embeddings", False))


def untie_head(model: PreTrainedModel) -> None:
    """Give the output head weights of its own where it shares the embeddings': equal ones, in the same memory still.

    The model's configuration says so from then on. Raises ModelError for encoder-decoder models, some of which scale
    their logits where weights are shared.
    """
    if not shares_head(model):
        return
    if model.config.is_encoder_decoder:
        raise ModelError(f"{type(model).__name__} is an encoder-decoder model: its shared head is not quantized")
    head = model.get_output_embeddings()
    head.weight = nn.Parameter(head.weight.detach(), requires_grad=False)
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = False
    model.all_tied_weights_keys = model.get_expanded_tied_weights_keys(all_submodels=True)


def _is_linear(module: nn.Linear) -> bool:
    """Whether a Linear of any class computes the same as an `nn.Linear` of its weights.

    A forward of its own is tried on one row; with weights on the meta device, the output's shape alone is compared.
    """
    forward = type(module).forward
    if forward is nn.Linear.forward:
        return True
    weight = module.weight
    row = torch.linspace(-1, 1, module.in_features, device=weight.device, dtype=weight.dtype)[None]
    with torch.no_grad():
        try:
            found = forward(module, row)
        except (RuntimeError, ValueError, IndexError, TypeError):
            return False
        expected = nn.functional.linear(row, weight, module.bias)
    if not isinstance(found, torch.Tensor) or found.shape != expected.shape:
        return False
    return weight.is_meta or torch.allclose(found, expected, rtol=1e-2, atol=1e-3)


def replace_module(model: nn.Module, name: str, new: nn.Module) -> None:
    """Replace the module of that dotted name by `new`."""
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, new)
