"""What a quantizer must have, and what it may have besides. Imports nothing heavy."""

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
    """What a quantizer may use besides the model. `calibration` is None unless the quantizer asks for it.

    `device`: where a quantizer that takes blocks from the CPU works on them (BlockwiseQuantizer); None: right there.
    """

    tokenizer: PreTrainedTokenizerBase
    seed: int
    calibration: Calibration | None = None
    log: Callable[[str], None] = lambda _: None
    device: torch.device | None = None


@runtime_checkable
class Quantizer(Protocol):
    """A frozen dataclass whose fields are its options.

    `needs_calibration`: whether `context.calibration` must be filled. `batch_dependent`: whether one row's result
    depends on the other rows of its batch; such a run records its batches.
    """

    name: ClassVar[str]
    needs_calibration: ClassVar[bool]

    @property
    def batch_dependent(self) -> bool:
        """Whether a row's result depends on its batch; a class variable will do."""
        ...

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> nn.Module:
        """Return the quantized model, which may be `model` itself, changed in place."""
        ...


@dataclass(frozen=True)
class WeightBytes:
    """What the quantized weights of a model take, in bytes; `weights` is how many there are.

    `codes`: the integers (or weights) as a file keeps them; `codebooks`, `scales`: what turns them into weights;
    `packed`: all three, were each code to take its true bits; `nominal_bits`: of codes alone, a weight.
    """

    weights: int
    codes: int
    codebooks: int
    scales: int
    packed: int
    nominal_bits: float


@dataclass(frozen=True)
class LayerForm:
    """How the cache of quantized models writes layers of one class, which a quantizer puts into models.

    `write(layer)` returns the layer's tensors by name, and settings that JSON can hold; `read(tensors, settings)` makes
    of them a layer whose results are the same to the last bit. Tensors are plain: of PyTorch's own dtypes, not of its
    quantized ones, nor of a class derived from Tensor.
    """

    layer: type[nn.Module]
    write: Callable[[Any], tuple[Mapping[str, Tensor], Mapping[str, Any]]]
    read: Callable[[Mapping[str, Tensor], Mapping[str, Any]], nn.Module]


@runtime_checkable
class CacheableQuantizer(Protocol):
    """A quantizer that puts layers of its own classes into models, and can have them cached.

    Without it, a model with such layers is quantized anew in each run. One that only changes weights needs no form.
    """

    def layer_forms(self) -> Sequence[LayerForm]:
        """A form for each class."""
        ...


@runtime_checkable
class SizedQuantizer(Protocol):
    """A quantizer whose weights are smaller than the model's: `qharness footprint` asks it how small."""

    def weight_bytes(self, layers: Mapping[str, tuple[int, int]], element_bytes: int) -> WeightBytes:
        """Sizes from shapes alone.

        `layers`: (out, in) of each Linear of the blocks by its name, and a HeadQuantizer's head;
        `element_bytes`: of a number in the model's dtype.
        """
        ...


@runtime_checkable
class HeadQuantizer(Protocol):
    """A quantizer that can take the output head as well, so that `weight_bytes` is asked for that layer too."""

    @property
    def head(self) -> bool:
        """Whether it does, where the head's weights are its own."""
        ...


@runtime_checkable
class SavingQuantizer(Protocol):
    """A quantizer whose models have a checkpoint of their own, which transformers loads."""

    def save(self, model: nn.Module, folder: Path) -> None:
        """Write weights and configuration of a model that this quantizer made into a folder that exists."""
        ...


@dataclass(frozen=True)
class CheckpointReaders:
    """Who loads a checkpoint, qharness aside. `transformers`: whether it does; `packages`: what it needs installed.

    `remark`: what else has to be known, in part of a sentence.
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
    """A quantizer with `save` that says who loads what it writes."""

    def checkpoint_readers(self) -> CheckpointReaders:
        """Who does, for this quantizer's options."""
        ...


@runtime_checkable
class BlockwiseQuantizer(Protocol):
    """A quantizer for models that do not fit where they are quantized.

    It gets the model on the CPU, where weights in their checkpoint's own dtype are read from disk as they are used,
    takes one block at a time to `context.device`, and leaves a quantized model on the CPU.
    """

    blockwise: ClassVar[Literal[True]]


@runtime_checkable
class QuantizedLinear(Protocol):
    """A Linear layer of a quantizer's own, as `qharness noise` looks at it. An `nn.Linear` needs nothing of this."""

    def dequantized_weight(self) -> Tensor:
        """The weight it multiplies with, [out, in], float32."""
        ...

    def quantized_input(self, x: Tensor) -> Tensor:
        """Activations [..., in] as it sees them, of the same dtype; `x` itself where it does not quantize them."""
        ...


Load = Callable[[str, "PretrainedConfig"], "PreTrainedModel"]
"""transformers' own loading: from a folder or an id of the Hub's, with a configuration that may have been changed."""


@runtime_checkable
class CheckpointFormat(Protocol):
    """How checkpoints of one `quant_method` are loaded and run, where transformers alone does not do it well.

    A quantizer comes with one as its class variable `checkpoint`.
    """

    @property
    def quant_method(self) -> str:
        """As the `quantization_config` of a checkpoint's configuration names it."""
        ...

    def load(self, source: str, config: PretrainedConfig, load: Load) -> PreTrainedModel:
        """Load a checkpoint by calling `load` once, with what is wrong in source or configuration put right."""
        ...

    def unpack(self, source: Path, target: Path) -> None:
        """Write a packed checkpoint into another folder as a plain one; ModelError for what is not packed."""
        ...

    def settle(self, model: nn.Module, memory: int) -> Mapping[str, int]:
        """Choose how each quantized layer of a model runs, in at most `memory` bytes more than it takes already.

        Returns how many layers run which way; nothing where the model has no such layers.
        """
        ...


@runtime_checkable
class RenamedCheckpointFormat(Protocol):
    """A format that also loads checkpoints in which its method went by other names."""

    @property
    def former_methods(self) -> Sequence[str]:
        """Those names, as a `quantization_config` has them."""
        ...
