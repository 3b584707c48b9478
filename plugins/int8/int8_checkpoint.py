"""Checkpoints of int8 models, in the form of compressed-tensors: integers and scales in safetensors.

transformers loads them where the package compressed-tensors is installed, and refuses without it. qharness needs no
package, and computes with the integers, where transformers dequantizes them. It loads other programs' checkpoints of
these schemes too, and leaves those of other schemes to transformers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qharness import CheckpointReaders, ModelError
from qharness.plugins.int8.schemes import METHOD, Scheme, Schemes, read_compressed, read_former

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedModel

    from qharness import LoadCheckpoint
    from qharness.plugins.int8.linear import Int8Linear

COMPRESSED = "compressed-tensors"


class Int8Checkpoint:
    """Writes, reads and runs int8 checkpoints."""

    quant_method = COMPRESSED
    former_methods = (METHOD,)

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """Write weights and configuration of a model whose Linears are Int8Linear; the model is not changed.

        Raises ModelError for a model that transformers could not load from such a checkpoint.
        """
        layers = _int8_layers(model)
        _require_linears(model, layers)
        state = model.state_dict()
        for name, layer in layers.items():
            if len(layer.weight_scale) > 1:
                state[f"{name}.weight_scale"] = layer.weight_scale[:, None]
        model.config.quantization_config = describe(model)
        try:
            model.save_pretrained(folder, state_dict=state)
        finally:
            del model.config.quantization_config

    def readers(self, act_bits: int) -> CheckpointReaders:
        """Say who loads the checkpoints that `save` writes."""
        own_grid = f"its activations of {act_bits} bits go to -{2 ** (act_bits - 1)}, ours do not: logits differ"
        return CheckpointReaders(transformers=True, packages=(COMPRESSED,), remark="" if act_bits == 8 else own_grid)

    def load(self, source: str, config: PretrainedConfig, load: LoadCheckpoint) -> PreTrainedModel:
        """Load a checkpoint into Int8Linears, packed where the CPU can; leave other schemes to transformers."""
        found: Any = config.quantization_config
        settings: dict[str, Any] = dict(found if isinstance(found, Mapping) else found.to_dict())
        schemes = read_former(settings) if settings["quant_method"] == METHOD else read_compressed(settings)
        if schemes is None:
            return load(source, config)
        import qharness.plugins.int8.int8_hf_quantizer  # noqa: F401 - makes the method known to transformers

        config.quantization_config = {"quant_method": METHOD, **schemes.document()}
        model = load(source, config)
        del model.hf_quantizer, model.quantization_method
        model.is_quantized = False  # type: ignore[assignment]  # to transformers it is a model like others now
        model.config.quantization_config = settings
        return model

    def unpack(self, source: Path, target: Path) -> None:
        """Raise ModelError: int8 checkpoints have one form."""
        raise ModelError(f"{source} is an int8 checkpoint, which has no other form: qharness loads it as it is")

    def select_kernels(self, model: nn.Module, memory: int) -> Mapping[str, int]:
        """Give each packed Int8Linear a plain copy of its weight too, where that pays and fits in `memory` bytes.

        It pays on a CPU with matrix tiles. Returns how many layers run by each kernel.
        """
        from qharness.plugins.int8 import products

        kernels = Counter[str]()
        for layer in _int8_layers(model).values():
            if layer.packed_bytes:
                both = products.has_tiles() and layer.packed_bytes <= memory
                memory -= layer.packed_bytes if both else 0
                layer.pack(keep=both)
            kernels[layer.kernel()] += 1
        return dict(kernels)


def describe(model: nn.Module) -> dict[str, Any]:
    """Return the `quantization_config` of a model whose Linears are Int8Linear.

    Layers that are all quantized alike are one group, which names the class Linear; else each group lists its layers.
    """
    from torch import nn

    names: dict[tuple[bool, int, bool], list[str]] = {}
    for name, layer in _int8_layers(model).items():
        kind = len(layer.weight_scale) > 1, layer.act_bits, layer.input_scale is not None
        names.setdefault(kind, []).append(name)
    groups = [Scheme(("Linear",) if len(names) == 1 else tuple(each), *kind) for kind, each in names.items()]
    ignored = tuple(name for name, module in model.named_modules() if isinstance(module, nn.Linear))
    return {"quant_method": COMPRESSED, **Schemes(tuple(groups), ignored).describe()}


def _int8_layers(model: nn.Module) -> dict[str, Int8Linear]:
    from qharness.plugins.int8.linear import Int8Linear

    return {name: module for name, module in model.named_modules() if isinstance(module, Int8Linear)}


def _require_linears(model: PreTrainedModel, layers: Mapping[str, Int8Linear]) -> None:
    """Raise ModelError unless the model's class makes a Linear in each layer's place, and all else as it is here.

    transformers would fill other modules with the integers as if these were the weights.
    """
    import torch
    from torch import nn

    with torch.device("meta"):
        own = type(model)(model.config)
    modules = dict(own.named_modules())
    other = [name for name in layers if not isinstance(modules.get(name), nn.Linear)]
    inside = tuple(f"{name}." for name in layers)
    state, wanted = (
        {name: entry.shape for name, entry in _tensors(each).items() if not name.startswith(inside)}
        for each in (model, own)
    )
    other += [name for name in {**state, **wanted} if state.get(name) != wanted.get(name)]
    if other:
        raise ModelError(
            f"int8: {other[0]} is no Linear of {type(model).__name__}'s own, so there is no checkpoint form that "
            f"transformers loads: it runs with `qharness run`"
        )


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {name: entry for name, entry in model.state_dict().items() if hasattr(entry, "shape")}
