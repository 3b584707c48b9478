"""Quantizers: the protocol of one, the optional protocols, and the values that they take and return."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from qharness.api.calibration_sets import Calibration


@dataclass(frozen=True)
class QuantizationContext:
    """The inputs of a quantizer besides the model.

    `calibration`: None unless the quantizer needs it. `log(line)` adds a line to the run's record. `device`: where a
    BlockwiseQuantizer works on the blocks that it takes from the CPU; None: where they are. `progress(done, total)`
    shows how many of its own steps are done, where a quantizer takes long.
    """

    tokenizer: PreTrainedTokenizerBase
    seed: int
    calibration: Calibration | None = None
    log: Callable[[str], None] = lambda _: None
    device: torch.device | None = None
    progress: Callable[[int, int], None] = lambda _done, _total: None


@runtime_checkable
class Quantizer(Protocol):
    """A method that makes a model smaller: a frozen dataclass whose fields are its options.

    `needs_calibration`: whether the host must fill `context.calibration`.
    """

    name: ClassVar[str]
    needs_calibration: ClassVar[bool]

    @property
    def batch_dependent(self) -> bool:
        """Whether one row's result depends on the other rows of its batch; a class variable will do.

        The runs of such a quantizer record their batches.
        """
        ...

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> nn.Module:
        """Return the quantized model, which may be `model` itself, changed in place."""
        ...


@dataclass(frozen=True)
class WeightBytes:
    """The size of a model's quantized weights, in bytes. `weights`: the number of weights.

    `codes`: the integers (or weights), as a file stores them. `codebooks`, `scales`: the values that turn codes into
    weights. `packed`: all three, with each code at its true number of bits. `nominal_bits`: bits of the codes alone for
    each weight.
    """

    weights: int
    codes: int
    codebooks: int
    scales: int
    packed: int
    nominal_bits: float


@runtime_checkable
class SizedQuantizer(Protocol):
    """A quantizer that knows the size of its weights from shapes alone, for `qharness footprint`."""

    def weight_bytes(self, layers: Mapping[str, tuple[int, int]], element_bytes: int) -> WeightBytes:
        """Return the size of the quantized weights.

        `layers`: (out, in) of each Linear of the blocks by its name, and of the head where a HeadQuantizer takes it.
        `element_bytes`: bytes of one number in the model's dtype.
        """
        ...


@runtime_checkable
class HeadQuantizer(Protocol):
    """A quantizer that can quantize the output head too; its `weight_bytes` then gets that layer as well."""

    @property
    def head(self) -> bool:
        """Whether it quantizes the head, where the head does not share its weights with the embedding."""
        ...


@runtime_checkable
class TiedHeadQuantizer(HeadQuantizer, Protocol):
    """A quantizer that can quantize a head that shares its weights too: a copy, beside the embedding as it is."""

    @property
    def tied_head(self) -> bool:
        """Whether it does."""
        ...


@dataclass(frozen=True)
class LayerForm:
    """The form in which the cache of quantized models stores layers of one class that a quantizer made.

    `write(layer)` returns the layer's tensors by name, and settings that JSON can hold. `read(tensors, settings)` makes
    a layer whose results equal the first one's to the last bit. All tensors are plain: of class Tensor itself, and of
    PyTorch's own dtypes other than its quantized ones.
    """

    layer: type[nn.Module]
    write: Callable[[Any], tuple[Mapping[str, Tensor], Mapping[str, object]]]
    read: Callable[[Mapping[str, Tensor], Mapping[str, object]], nn.Module]


@runtime_checkable
class CacheableQuantizer(Protocol):
    """A quantizer that puts layers of its own classes into models, and describes them to the cache.

    A quantizer that only changes weights is cached without this. Other models are quantized anew in each run.
    """

    def layer_forms(self) -> Sequence[LayerForm]:
        """Return the form of each class of layers."""
        ...


@runtime_checkable
class RevisedQuantizer(Protocol):
    """A quantizer that has once changed what it makes of the same input.

    `revision`: a number that is raised with every such change, so that runs and cached models from before it are made
    again.
    """

    revision: ClassVar[int]


@runtime_checkable
class BlockwiseQuantizer(Protocol):
    """A quantizer for models that are larger than the memory of the device that quantizes them.

    It gets the model on the CPU, where weights in the checkpoint's own dtype are read from disk as they are used. It
    moves one block at a time to `context.device`, and leaves the quantized model on the CPU.
    """

    blockwise: ClassVar[Literal[True]]


@runtime_checkable
class QuantizedLinear(Protocol):
    """The view of a quantizer's own Linear layer that `qharness noise` needs. An `nn.Linear` needs none of it."""

    def dequantized_weight(self) -> Tensor:
        """Return the weight that the layer multiplies with, float32 [out, in]."""
        ...

    def quantized_input(self, x: Tensor) -> Tensor:
        """Return activations [..., in] after the layer's quantization of them, in their dtype; `x` if there is none."""
        ...


@runtime_checkable
class SavingQuantizer(Protocol):
    """A quantizer that writes its models as checkpoints which transformers loads."""

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write the weights and the configuration of a model that this quantizer made into an existing folder."""
        ...


@dataclass(frozen=True)
class CheckpointReaders:
    """The programs that load a checkpoint, besides qharness.

    `transformers`: whether transformers does; `packages`: the packages that it needs then. `remark`: any further
    condition, a part of a sentence.
    """

    transformers: bool = True
    packages: tuple[str, ...] = ()
    remark: str = ""

    def __str__(self) -> str:
        who = "qharness only"
        if self.transformers:
            who = f"transformers with {', '.join(self.packages)}" if self.packages else "plain transformers"
        return f"{who} ({self.remark})" if self.remark else who


@runtime_checkable
class DescribedCheckpoint(Protocol):
    """A SavingQuantizer that names the programs which load its checkpoints."""

    def checkpoint_readers(self) -> CheckpointReaders:
        """Return the readers of a checkpoint that is written with this quantizer's options."""
        ...


LoadCheckpoint = Callable[[str, "PretrainedConfig"], "PreTrainedModel"]
"""transformers' loading of a checkpoint: a folder or an id of the Hub, with a configuration, which may be changed."""


@runtime_checkable
class CheckpointFormat(Protocol):
    """The loading and running of checkpoints of one `quant_method`, where transformers alone does not suffice.

    A quantizer holds one as its class variable `checkpoint`.
    """

    @property
    def quant_method(self) -> str:
        """The method's name in the `quantization_config` of a checkpoint's configuration."""
        ...

    def load(self, source: str, config: PretrainedConfig, load: LoadCheckpoint) -> PreTrainedModel:
        """Load a checkpoint by one call of `load`, with a corrected source or configuration where they need it."""
        ...

    def unpack(self, source: Path, target: Path) -> None:
        """Write a packed checkpoint into another folder as a plain one. Raises ModelError if it is not packed."""
        ...

    def select_kernels(self, model: nn.Module, memory: int) -> Mapping[str, int]:
        """Choose the kernel of each quantized layer of a model, within `memory` more bytes than the model takes now.

        Returns the number of layers by kernel; nothing where the model has no such layers.
        """
        ...


@runtime_checkable
class RenamedCheckpointFormat(Protocol):
    """A CheckpointFormat that also loads checkpoints which name its method otherwise."""

    @property
    def former_methods(self) -> Sequence[str]:
        """The other names in a `quantization_config`."""
        ...
