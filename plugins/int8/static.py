"""Static quantization (Wei et al. 2023, II.C): int8 weights, and int8 activations in ranges found on text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from qharness import CheckedOptions, CheckpointReaders, LayerForm, ModelError, QuantizationContext, WeightBytes, option
from qharness.plugins.int8.int8_checkpoint import Int8Checkpoint
from qharness.plugins.int8.int8_options import convert, linear_names, require_head, trim, weight_bytes

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from qharness.plugins.int8.linear import Int8Linear


@dataclass(frozen=True)
class Int8Static(CheckedOptions):
    """Int8 weights and activations, each layer's activation range found on the calibration set."""

    name: ClassVar[str] = "int8-static"
    needs_calibration: ClassVar[bool] = True
    batch_dependent: ClassVar[bool] = False
    checkpoint: ClassVar[Int8Checkpoint] = Int8Checkpoint()

    weights: Literal["per-tensor", "per-column"] = option(
        "per-tensor", "one weight scale for the matrix, or one for each output feature"
    )
    loss: Literal["mse", "entropy", "max", "percentile"] = option("mse", "what clipping ranges minimise")
    weight_loss: Literal["mse", "entropy", "max", "percentile"] | None = option(
        None, "the same for weights alone, where it is to be another"
    )
    weight_bits: int = option(8, "8, or 4 in int8's room", choices=(8, 4))
    act_bits: int = option(8, "8, or 4 in int8's room", choices=(8, 4))
    percentile: float = option(99.99, "of magnitudes, for loss=percentile", above=0, most=100)
    head: bool = option(True, "the output head as well, unless it shares the embeddings' weights")
    tied_head: bool = option(False, "a head that shares them too: a copy in int8, beside the embeddings as they are")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_head(self.head, self.tied_head)

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> PreTrainedModel:
        """Run the calibration set through the model once, then replace the Linears one by one.

        Changes `model` in place. A layer that saw only zeros, or nothing, has dynamic activations.
        """
        from qharness import untie_head
        from qharness.plugins.int8.integer_grid import WeightGrid
        from qharness.plugins.int8.linear import Int8Linear
        from qharness.plugins.int8.observing import observe
        from qharness.plugins.int8.ranges import levels_of

        if context.calibration is None:
            raise ModelError("int8-static needs a calibration set: name one with --calib")
        if self.tied_head:
            untie_head(model)
        names = linear_names(model, self.head)
        found, tokens = observe(model, names, context.calibration.sequences, context.progress)
        trim()
        levels = levels_of(self.act_bits)
        ranges = {name: each.choose(self.loss, levels, self.percentile) for name, each in found.items()}
        unseen = [name for name, each in found.items() if each.most == 0]
        clipped = [ranges[name] / each.most for name, each in found.items() if each.most > 0]
        context.log(
            f"int8-static: activation ranges by {self.loss} on {tokens} tokens, "
            f"{min(clipped, default=1.0):.3f} to {max(clipped, default=1.0):.3f} of their greatest magnitudes"
        )
        if unseen:
            context.log(f"int8-static: layers that saw only zeros or nothing are dynamic: {', '.join(unseen)}")
        grid = WeightGrid(
            self.weights == "per-column", self.weight_bits, self.weight_loss or self.loss, self.percentile
        )

        def make(name: str, linear: nn.Linear) -> Int8Linear:
            return Int8Linear.from_linear(linear, grid, self.act_bits, None if name in unseen else ranges[name])

        convert(model, names, make, context.log)
        return model

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """Write a checkpoint of a quantized model."""
        self.checkpoint.save(model, folder)

    def checkpoint_readers(self) -> CheckpointReaders:
        """Say who loads the checkpoints that `save` writes."""
        return self.checkpoint.readers(self.act_bits)

    def layer_forms(self) -> Sequence[LayerForm]:
        """Return the form in which the cache of quantized models holds the layers."""
        from qharness.plugins.int8.int8_layer_forms import INT8_LINEAR

        return (INT8_LINEAR,)

    def weight_bytes(self, layers: Mapping[str, tuple[int, int]], element_bytes: int) -> WeightBytes:
        """Compute sizes of layers (out, in): int8, float32 scales of weights, and one of each layer's activations."""
        return weight_bytes(layers, self.weights, self.weight_bits, scales=1)
