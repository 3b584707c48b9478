"""Counts the bytes of a model's weights: in memory, or in a checkpoint, from its configuration alone."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from qharness.api.quantizers import HeadQuantizer, Quantizer, SizedQuantizer, TiedHeadQuantizer, WeightBytes
from qharness.errors import ModelError
from qharness.models.blocks import block_linears, head_linear, untie_head
from qharness.models.checkpoint import Checkpoint
from qharness.models.checkpoint_files import source_bytes
from qharness.models.checkpoint_formats import quant_method
from qharness.models.conversion import to_linears
from qharness.models.gguf_header import GgufHeader
from qharness.models.loading import model_class, own_dtype
from qharness.models.server_model import ServerModel
from qharness.spec import unbind

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class BitsPerParam:
    """Bits per quantized weight: of its code, of all that a file stores for it, and of that with codes packed tight."""

    nominal: float
    stored: float
    packed: float


@dataclass(frozen=True)
class GgufFootprint:
    """The bytes of a GGUF file, by its header.

    `type_bytes`: of its tensors, by ggml's types. `weights`, `weight_bytes`, `bits_per_param`: of the matrices in its
    blocks. `unquantized_bytes`: all the rest of the file, embeddings, head and vocabulary among it, of whatever type.
    """

    file_bytes: int
    type_bytes: Mapping[str, int]
    weights: int
    weight_bytes: int
    unquantized_bytes: int
    bits_per_param: BitsPerParam


@dataclass(frozen=True)
class CheckpointFootprint:
    """The bytes of a quantized model's checkpoint by part, as `footprint --json` prints them.

    `packed_total_bytes`: the total if codes took no more than their true bits. `quantized_weights`: numbers in all
    quantized layers. `parameters`: numbers in the model, tied ones once. `gguf`: the file that the model comes from, if
    it is one; all other figures are of what the quantizer makes of its dequantized weights.
    """

    model: str
    quantizer: str
    dtype: str
    parameters: int
    total_bytes: int
    codes_bytes: int
    codebooks_bytes: int
    scales_bytes: int
    unquantized_bytes: int
    packed_total_bytes: int
    quantized_weights: int
    bits_per_param: BitsPerParam
    gguf: GgufFootprint | None = None

    @property
    def simulated(self) -> bool:
        """Whether the quantizer only rounds weights: they are stored in as many bits as in full precision."""
        element: torch.dtype = getattr(torch, self.dtype)
        full = self.codes_bytes == self.quantized_weights * element.itemsize
        return full and self.packed_total_bytes < self.total_bytes


@dataclass(frozen=True)
class CheckpointFigures:
    """Bytes of a checkpoint as it would be written, and its model's parameters; None where unknown.

    `packed_bytes`: of a quantizer that simulates, which stores rounded weights in full width: the bytes with its codes
    packed to their true bits.
    """

    storage_bytes: int | None
    parameters: int | None
    packed_bytes: int | None = None


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


def footprint(checkpoint: Checkpoint, quantizer: Quantizer, dtype: str = "auto") -> CheckpointFootprint:
    """Bytes of a model's checkpoint once it is quantized, from its configuration alone: no weight is read or made.

    `dtype` is that of the weights that are not quantized, and of codebooks and scales; `auto`: the checkpoint's own.
    Raises ModelError for a model that is quantized already, or whose layers are not known.
    """
    if method := quant_method(checkpoint.config):
        raise ModelError(f"model {checkpoint.name!r} is already quantized ({method}): name its full-precision parent")
    element = own_dtype(checkpoint, dtype)
    empty = meta_model(checkpoint)
    to_linears(empty)
    linears = block_linears(empty)
    parameters = sum(tensor.numel() for tensor in empty.parameters())
    if isinstance(quantizer, TiedHeadQuantizer) and quantizer.tied_head:
        untie_head(empty)
    if isinstance(quantizer, HeadQuantizer) and quantizer.head:
        linears |= head_linear(empty)
    layers = {name: (linear.out_features, linear.in_features) for name, linear in linears.items()}
    weight_bytes = quantizer.weight_bytes if isinstance(quantizer, SizedQuantizer) else _unchanged
    parts = weight_bytes(layers, element.itemsize)
    unquantized = _written_bytes(empty, element.itemsize) - parts.weights * element.itemsize
    stored = parts.codes + parts.codebooks + parts.scales
    return CheckpointFootprint(
        model=checkpoint.name,
        quantizer=str(unbind(quantizer)),
        dtype=str(element).removeprefix("torch."),
        parameters=parameters,
        total_bytes=unquantized + stored,
        codes_bytes=parts.codes,
        codebooks_bytes=parts.codebooks,
        scales_bytes=parts.scales,
        unquantized_bytes=unquantized,
        packed_total_bytes=unquantized + parts.packed,
        quantized_weights=parts.weights,
        bits_per_param=BitsPerParam(parts.nominal_bits, 8 * stored / parts.weights, 8 * parts.packed / parts.weights),
        gguf=gguf_footprint(checkpoint.gguf_header) if checkpoint.gguf_header else None,
    )


def gguf_footprint(header: GgufHeader) -> GgufFootprint:
    """The bytes of a GGUF file, from its header. Nothing in it is padded, so packed and stored bits are the same.

    A block's matrices are its tensors of two or more dimensions; the experts of a layer are one of three.
    """
    matrices = [tensor for tensor in header.tensors if "blk." in tensor.name and len(tensor.shape) > 1]
    weights = sum(tensor.weights for tensor in matrices)
    stored = sum(tensor.n_bytes for tensor in matrices)
    nominal = sum(tensor.weights * tensor.code_bits for tensor in matrices) / weights if weights else math.nan
    bits = 8 * stored / weights if weights else math.nan
    return GgufFootprint(
        file_bytes=header.file_bytes,
        type_bytes=header.type_bytes,
        weights=weights,
        weight_bytes=stored,
        unquantized_bytes=header.file_bytes - stored,
        bits_per_param=BitsPerParam(nominal, bits, bits),
    )


def checkpoint_figures(checkpoint: Checkpoint | ServerModel, quantizer: Quantizer) -> CheckpointFigures:
    """Size a checkpoint by its footprint; one that is quantized already, or a GGUF file as it is, by its files.

    Nothing is known of a model that a server holds.
    """
    if isinstance(checkpoint, ServerModel):
        return CheckpointFigures(None, None)
    if quant_method(checkpoint.config) is not None:
        return CheckpointFigures(source_bytes(checkpoint.source), None)
    try:
        found = footprint(checkpoint, quantizer)
    except ModelError:  # of an architecture whose layers are not known
        return CheckpointFigures(None, None)
    own = found.gguf.file_bytes if found.gguf and quantizer.name == "none" else None
    packed = found.packed_total_bytes if found.simulated else None
    return CheckpointFigures(own or found.total_bytes, found.parameters, packed)


def _unchanged(layers: Mapping[str, tuple[int, int]], element_bytes: int) -> WeightBytes:
    """The bytes of weights that a quantizer leaves in their dtype: it is `none`, or simulates."""
    weights = sum(rows * columns for rows, columns in layers.values())
    size = weights * element_bytes
    return WeightBytes(weights, codes=size, codebooks=0, scales=0, packed=size, nominal_bits=8 * element_bytes)


def _written_bytes(model: nn.Module, element_bytes: int) -> int:
    """Bytes of a full-precision checkpoint: parameters, tied ones once, and the buffers that are saved."""
    written = model.state_dict().keys()
    buffers = [buffer for name, buffer in model.named_buffers() if name in written]
    return sum(
        tensor.numel() * (element_bytes if tensor.is_floating_point() else tensor.element_size())
        for tensor in (*model.parameters(), *buffers)
    )


def meta_model(checkpoint: Checkpoint, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """The model without memory for its weights, on the meta device. `dtype` None: its configuration's."""
    config = copy.deepcopy(checkpoint.config)  # from_config changes it
    if dtype is not None:
        config.dtype = dtype
    make, trusted = model_class(config).from_config, checkpoint.trust_remote_code
    with torch.device("meta"):
        model: PreTrainedModel = make(config, trust_remote_code=trusted)  # type: ignore[no-untyped-call]
    return model
