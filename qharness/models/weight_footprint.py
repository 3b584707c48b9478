"""How many bytes a model's weights take: one in memory, and one that is known by its configuration only."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from qharness.api.quantizers import HeadQuantizer, Quantizer, SizedQuantizer, WeightBytes
from qharness.errors import ModelError
from qharness.models.blocks import block_linears, head_linear
from qharness.models.checkpoint import Checkpoint
from qharness.models.checkpoint_formats import quant_method
from qharness.models.conversion import to_linears
from qharness.models.loading import model_class, own_dtype
from qharness.models.weight_files import source_bytes
from qharness.spec import unbind


def resident_bytes(model: nn.Module) -> int:
    """Bytes of all parameters and buffers, shared ones once, PyTorch's packed quantized weights included."""
    seen: dict[int, int] = {}
    for wrapped in (*model.parameters(), *model.buffers()):
        for tensor in _inner(wrapped):
            seen[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
    total = sum(seen.values())
    for module in model.modules():
        packed = getattr(module, "weight", None)
        if callable(packed) and isinstance(weight := packed(), Tensor):
            total += weight.numel() * weight.element_size()
        total += getattr(module, "packed_bytes", 0)  # of a kernel's own form, which is no tensor
    return total


def _inner(tensor: Tensor) -> Iterator[Tensor]:
    """A tensor itself, or those that a subclass such as torchao's is made of."""
    if type(tensor) in (Tensor, nn.Parameter) or not hasattr(tensor, "__tensor_flatten__"):
        yield tensor
    else:
        for name in tensor.__tensor_flatten__()[0]:
            yield from _inner(getattr(tensor, name))


def footprint(checkpoint: Checkpoint, quantizer: Quantizer, dtype: str = "auto") -> dict[str, Any]:
    """Bytes of a model's checkpoint once it is quantized, from its configuration alone: no weight is read or made.

    `dtype` is that of the weights that are not quantized, and of codebooks and scales; `auto`: the checkpoint's own.
    Bits are per quantized weight: `nominal` of the codes alone, `stored` of all that a file keeps for it, `packed` the
    same with codes at their true bits. Raises ModelError.
    """
    if method := quant_method(checkpoint.config):
        raise ModelError(f"model {checkpoint.name!r} is already quantized ({method}): name its full-precision parent")
    element = own_dtype(checkpoint, dtype)
    empty = skeleton(checkpoint)
    to_linears(empty)
    linears = block_linears(empty)
    if isinstance(quantizer, HeadQuantizer) and quantizer.head:
        linears |= head_linear(empty)
    layers = {name: (linear.out_features, linear.in_features) for name, linear in linears.items()}
    parts = (quantizer if isinstance(quantizer, SizedQuantizer) else _AsTheyAre()).weight_bytes(
        layers, element.itemsize
    )
    unquantized = _written_bytes(empty, element.itemsize) - parts.weights * element.itemsize
    stored = parts.codes + parts.codebooks + parts.scales
    return {
        "model": checkpoint.name,
        "quantizer": str(unbind(quantizer)),
        "dtype": str(element).removeprefix("torch."),
        "parameters": sum(tensor.numel() for tensor in empty.parameters()),
        "total_bytes": unquantized + stored,
        "codes_bytes": parts.codes,
        "codebooks_bytes": parts.codebooks,
        "scales_bytes": parts.scales,
        "unquantized_bytes": unquantized,
        "packed_total_bytes": unquantized + parts.packed,
        "quantized_weights": parts.weights,
        "bits_per_param": {
            "nominal": parts.nominal_bits,
            "stored": 8 * stored / parts.weights,
            "packed": 8 * parts.packed / parts.weights,
        },
    }


def checkpoint_figures(checkpoint: Checkpoint, quantizer: Quantizer) -> dict[str, int | None]:
    """`storage_bytes` of the checkpoint as it would be written, and the model's `parameters`; None where unknown.

    A folder that is quantized already has the size of its files.
    """
    if quant_method(checkpoint.config) is None:
        try:
            found = footprint(checkpoint, quantizer)
        except ModelError:  # of an architecture whose layers are not known
            return {"storage_bytes": None, "parameters": None}
        return {"storage_bytes": found["total_bytes"], "parameters": found["parameters"]}
    return {"storage_bytes": source_bytes(checkpoint.source), "parameters": None}


class _AsTheyAre:
    """Weights of a quantizer that does not say what they take: none, or one that simulates."""

    def weight_bytes(self, layers: Mapping[str, tuple[int, int]], element_bytes: int) -> WeightBytes:
        weights = sum(rows * columns for rows, columns in layers.values())
        size = weights * element_bytes
        return WeightBytes(weights, codes=size, codebooks=0, scales=0, packed=size, nominal_bits=8 * element_bytes)


def _written_bytes(model: nn.Module, element_bytes: int) -> int:
    """Bytes of what a checkpoint of a model in full precision holds: parameters, tied ones once, and some buffers."""
    written = model.state_dict().keys()
    buffers = [buffer for name, buffer in model.named_buffers() if name in written]
    return sum(
        tensor.numel() * (element_bytes if tensor.is_floating_point() else tensor.element_size())
        for tensor in (*model.parameters(), *buffers)
    )


def skeleton(checkpoint: Checkpoint, dtype: torch.dtype | None = None) -> Any:
    """The model without memory for its weights, in its configuration's dtype unless another is given."""
    config = copy.deepcopy(checkpoint.config)  # from_config changes it
    if dtype is not None:
        config.dtype = dtype
    trusted = checkpoint.trust_remote_code
    with torch.device("meta"):
        return model_class(config).from_config(config, trust_remote_code=trusted)  # type: ignore[no-untyped-call]
