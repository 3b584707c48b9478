"""Writes a quantized model to the cache and reads it back to the last bit: tensors, and JSON with their places.

`model.safetensors` holds every parameter and buffer once; `layout.json` holds the rest. Nothing in either is code: the
model is built by its own class from its checkpoint's configuration, and a quantizer's own layers by the quantizer (see
`LayerForm`). What cannot be built so is found out when the model is written, and then it is not written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import Tensor, nn

from qharness.api.quantizers import LayerForm
from qharness.errors import DataError, first_line
from qharness.models.blocks import replace_module, says_tied, untie_head
from qharness.models.checkpoint import Checkpoint
from qharness.models.conversion import to_linears
from qharness.models.weight_footprint import meta_model
from qharness.quantization.module_state import difference
from qharness.storage.atomic_writer import write_json
from qharness.storage.disk_errors import is_full
from qharness.storage.fingerprints import content_hash
from qharness.storage.json_reader import read_json
from qharness.storage.json_values import JsonObject

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

FORMAT = "safetensors 1"
"""Part of the key of a cached model: entries of another format are not looked at."""
_WEIGHTS, _LAYOUT = "model.safetensors", "layout.json"


class UncacheableError(Exception):
    """A model has a part that the cache has no form for; the message names it."""


@dataclass(frozen=True)
class _Layer:
    """A layer of the quantizer's own: the name of its class, its settings besides tensors, the tensors' names."""

    kind: str
    settings: Mapping[str, object]
    tensors: Sequence[str]


@dataclass
class _Layout:
    """The content of `layout.json`. `same`: the name under which a tensor of several names stands in the file.

    `axes`: the order of a tensor's axes in the file, where its memory has another order than its shape. `untied`: the
    output head, which shares the embeddings' weights in the checkpoint, has its own.
    """

    config: str  # JSON as a text, for it may hold infinities
    generation: str | None
    dtype: str
    layers: dict[str, _Layer] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    axes: dict[str, list[int]] = field(default_factory=dict)
    untied: bool = False
    sha256: str = ""

    @classmethod
    def of_document(cls, document: JsonObject) -> Self:
        layers = {name: _Layer(**layer) for name, layer in document.pop("layers").items()}
        return cls(**document, layers=layers)


def write_model(model: PreTrainedModel, checkpoint: Checkpoint, forms: Sequence[LayerForm], folder: Path) -> None:
    """Write a model into a folder. `checkpoint`: the one it is made of; `forms`: of its quantizer's layers.

    Raises UncacheableError for a model that `read_model` would not make again, to the last bit, from the two files.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    layout = _Layout(
        config=_plain_config(model.config),
        generation=_plain_generation(model),
        dtype=str(model.dtype).removeprefix("torch."),
        untied=says_tied(checkpoint.config) and not says_tied(model.config),
    )
    own = _empty_model(checkpoint, layout)
    found = _write_layers(model, forms, layout, own)
    if differing := difference(model, own, leave_out=layout.layers):
        raise UncacheableError(differing)
    if _plain_config(own.config) != layout.config or _plain_generation(own) != layout.generation:
        raise UncacheableError("its configuration is not its checkpoint's")
    found |= {name: tensor for name, _, tensor in _tensors(model, layout.layers)}
    try:
        save_file(_arranged(found, layout), folder / _WEIGHTS, metadata={"format": "pt"})
    except (SafetensorError, LookupError, RuntimeError, ValueError) as error:
        if is_full(error):
            raise
        raise UncacheableError(f"safetensors does not take it: {first_line(error)}") from None
    layout.sha256 = content_hash(folder / _WEIGHTS)
    write_json(folder / _LAYOUT, asdict(layout))


def read_model(folder: Path, checkpoint: Checkpoint, forms: Sequence[LayerForm]) -> PreTrainedModel:
    """The model that `write_model` wrote, on the CPU, in evaluation mode; `checkpoint` and `forms` as they were then.

    Raises DataError, in one line, for files that are damaged or belong to another configuration.
    """
    from safetensors import SafetensorError, safe_open

    try:
        layout = _Layout.of_document(read_json(folder / _LAYOUT, DataError))
        if content_hash(folder / _WEIGHTS) != layout.sha256:
            raise DataError(f"{folder / _WEIGHTS} is damaged: its sha256 is another than when it was written")
        with safe_open(folder / _WEIGHTS, framework="pt") as file:
            # cloned, so that nothing depends on the file once the model is there
            found = {name: _reordered(file.get_tensor(name), layout.axes.get(name)).clone() for name in file.keys()}  # noqa: SIM118
        model = _empty_model(checkpoint, layout)
        by_name = {form.layer.__name__: form for form in forms}
        for name, layer in layout.layers.items():
            parts = {part: found[f"{name}.{part}"] for part in layer.tensors}
            replace_module(model, name, by_name[layer.kind].read(parts, dict(layer.settings)).eval())
        _fill(model, found, layout)
    except (OSError, SafetensorError, LookupError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise DataError(f"{type(error).__name__}: {error}") from None
    if _plain_config(model.config) != layout.config:
        raise DataError("its checkpoint's configuration is another now")
    return model


# ------------------------------------------------------------------------------------------------------------ tensors


def _write_layers(model: nn.Module, forms: Sequence[LayerForm], layout: _Layout, own: nn.Module) -> dict[str, Tensor]:
    """The tensors of the quantizer's own layers; each layer is noted in `layout` and put into `own` as it is."""
    by_type = {form.layer: form for form in forms}
    found: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        form = by_type.get(type(module))
        if form is None or any(name.startswith(f"{outer}.") for outer in layout.layers):
            continue
        tensors, settings = form.write(module)
        layout.layers[name] = _Layer(form.layer.__name__, settings, list(tensors))
        found |= {f"{name}.{part}": tensor for part, tensor in tensors.items()}
        try:
            replace_module(own, name, module)
        except AttributeError:
            raise UncacheableError(f"{name} is no module of its class's own") from None
    return found


def _tensors(model: nn.Module, leave_out: Mapping[str, object]) -> Iterator[tuple[str, bool, Tensor]]:
    """(name, whether it is a parameter, tensor) of everything outside the layers that are to be left out."""
    inside = tuple(f"{name}." for name in leave_out)
    for is_parameter, named in (
        (True, model.named_parameters(remove_duplicate=False)),
        (False, model.named_buffers(remove_duplicate=False)),
    ):
        for name, tensor in named:
            if not name.startswith(inside):
                yield name, is_parameter, tensor


def _arranged(found: Mapping[str, Tensor], layout: _Layout) -> dict[str, Tensor]:
    """The tensors as a file takes them: each once, contiguous, on the CPU. Notes the changes in `layout`."""
    arranged: dict[str, Tensor] = {}
    names: dict[tuple[Any, ...], str] = {}
    for name, tensor in found.items():
        if (
            type(tensor) not in (Tensor, nn.Parameter, nn.Buffer)
            or tensor.layout != torch.strided
            or tensor.is_quantized
        ):
            raise UncacheableError(f"{name} is a {type(tensor).__name__} that safetensors has no form for")
        tensor = tensor.detach()
        memory = tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride(), tensor.device
        first = names.setdefault(memory, name) if tensor.numel() else name
        if first != name:
            layout.same[name] = first
            continue
        strides = tensor.stride()
        axes = sorted(range(len(strides)), key=strides.__getitem__, reverse=True)
        if not tensor.is_contiguous() and tensor.permute(axes).is_contiguous():
            layout.axes[name] = axes
            tensor = tensor.permute(axes)
        arranged[name] = tensor.contiguous().cpu()
    return arranged


def _reordered(tensor: Tensor, axes: list[int] | None) -> Tensor:
    """A tensor of the file with the axes in their order; a clone of it keeps the order of its memory."""
    if axes is None:
        return tensor
    return tensor.permute([axes.index(axis) for axis in range(len(axes))])


def _fill(model: nn.Module, found: Mapping[str, Tensor], layout: _Layout) -> None:
    """Put the tensors into the empty model. Raises DataError where the model has other names, or other shapes."""
    wanted = list(_tensors(model, layout.layers))
    made: dict[str, Tensor] = {}
    for name, is_parameter, empty in wanted:
        first = layout.same.get(name, name)
        if found[first].shape != empty.shape:
            raise DataError(f"{name} has the shape {list(found[first].shape)}, its class wants {list(empty.shape)}")
        if first not in made:
            made[first] = nn.Parameter(found[first], requires_grad=False) if is_parameter else found[first]
        parent, _, leaf = name.rpartition(".")
        module = model.get_submodule(parent)
        entries = cast("dict[str, Tensor]", module._parameters if is_parameter else module._buffers)
        entries[leaf] = made[first]
    inside = {f"{name}.{part}" for name, layer in layout.layers.items() for part in layer.tensors}
    if unknown := set(found) - inside - set(made):
        raise DataError(f"its class has no {min(unknown)}")


# -------------------------------------------------------------------------------------------------------------- model


def _empty_model(checkpoint: Checkpoint, layout: _Layout) -> PreTrainedModel:
    """The model as its class makes it, with a Linear for each weight, and without memory for its weights."""
    from transformers import GenerationConfig

    model = meta_model(checkpoint, getattr(torch, layout.dtype))
    to_linears(model)
    if layout.untied:
        untie_head(model)
    model.eval()
    if layout.generation is not None:
        model.generation_config = GenerationConfig.from_dict(json.loads(layout.generation))
    return model


def _plain_config(config: PretrainedConfig) -> str:
    """A configuration as JSON."""
    attention = str(getattr(config, "_attn_implementation", None))
    return json.dumps([config.to_dict(), attention], default=str, sort_keys=True)


def _plain_generation(model: PreTrainedModel) -> str | None:
    settings = model.generation_config
    return None if settings is None else json.dumps(settings.to_dict(), default=str, sort_keys=True)
