"""AQLM, additive quantization (Egiazarian et al. 2024) to 8, 4, 3 or 2 bits a weight, and its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from qharness import (
    CheckedOptions,
    CheckpointReaders,
    LayerForm,
    ModelError,
    QuantizationContext,
    Quantizer,
    SpecError,
    WeightBytes,
    hookimpl,
    option,
)
from qharness.plugins.aqlm.aqlm_checkpoint import AqlmCheckpoint
from qharness.plugins.aqlm.bit_allocation import GROUP, TABLE, Shape, shape_for

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from qharness.plugins.aqlm.blockwise import BlockPlan


@dataclass(frozen=True)
class Aqlm(CheckedOptions):
    """Groups of weights as sums of codebook vectors, chosen for the layers' outputs on a calibration set."""

    name: ClassVar[str] = "aqlm"
    needs_calibration: ClassVar[bool] = True
    batch_dependent: ClassVar[bool] = False
    blockwise: ClassVar[Literal[True]] = True
    revision: ClassVar[int] = 2
    checkpoint: ClassVar[AqlmCheckpoint] = AqlmCheckpoint()

    bits: int | None = option(None, "bits a weight, about: 8, 4, 3 or 2; sets codebooks, nbits and group")
    codebooks: int | None = option(
        None, "codebooks M, whose vectors are summed; with nbits, in place of bits", least=1, most=64
    )
    nbits: int | None = option(None, "bits B of a code, 1 to 16: a codebook has 2^B vectors", least=1, most=16)
    group: int = option(GROUP, "weights a vector stands for", least=1, most=1024)
    skip_indivisible: bool = option(False, "leave a layer whose width group does not divide in full precision")
    finetune: Literal["none", "block", "e2e"] = option(
        "block", "what is trained after codes are chosen: nothing, each block, or each block and then the whole model"
    )
    beam: int = option(1, "hypotheses a row in the search for codes", least=1, most=64)
    packed: bool = option(
        False, "checkpoints with codes at their true bits, which qharness loads and transformers does not"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits is None and (self.codebooks is None or self.nbits is None):
            raise SpecError("aqlm needs bits, or codebooks and nbits: write aqlm:3 or aqlm:codebooks=2,nbits=8")
        if self.bits is not None and (self.codebooks is not None or self.nbits is not None or self.group != GROUP):
            raise SpecError("aqlm takes bits, or codebooks, nbits and group, not both")
        if self.bits is not None and self.bits not in TABLE:
            raise SpecError(
                f"aqlm takes {', '.join(map(str, TABLE))} bits, not {self.bits}: or give codebooks and nbits"
            )

    def shape(self, layers: Mapping[str, tuple[int, int]]) -> Shape:
        """Return the shape in which Linears of these (out, in), by name, are coded."""
        if self.bits is not None:
            return shape_for(self.bits, list(layers.values()))
        assert self.codebooks is not None and self.nbits is not None
        return Shape(self.codebooks, self.nbits, self.group)

    def quantize(self, model: PreTrainedModel, context: QuantizationContext) -> PreTrainedModel:
        """Quantize the blocks' Linears in place, block by block (blockwise.py). Goes on where a killed run stopped."""
        from qharness import block_linears, find_blocks
        from qharness.plugins.aqlm.block import Tuning
        from qharness.plugins.aqlm.block_progress import PartCache, Steps, fingerprint
        from qharness.plugins.aqlm.blockwise import BlockPlan, block_steps, generator, held_out, quantize_blocks
        from qharness.plugins.aqlm.distillation import DISTILLATION, cache_teacher, distill
        from qharness.plugins.aqlm.fast_float32 import fast_float32
        from qharness.plugins.aqlm.layer import Search
        from qharness.plugins.aqlm.replay import batches, working_on
        from qharness.plugins.aqlm.sizes import divisible
        from qharness.plugins.aqlm.thread_pool import suited_threads

        if context.calibration is None:
            raise ModelError("aqlm needs a calibration set: name one with --calib")
        linears = {name: (layer.out_features, layer.in_features) for name, layer in block_linears(model).items()}
        layers = divisible(linears, self.group, self.skip_indivisible)
        shape = self.shape(layers)
        average = shape.average_bits(list(layers.values()))
        context.log(
            f"aqlm: {len(layers)} layers, {shape.codebooks} codebooks of {shape.nbits} bits for groups of "
            f"{shape.group}: {average:.2f} bits a weight"
        )
        plan = BlockPlan(shape, Search(beam=self.beam), None if self.finetune == "none" else Tuning(), context.seed)
        sequences = [sequence for sequence in context.calibration.sequences if len(sequence)]
        if not sequences:
            raise ModelError("aqlm: the calibration set holds no tokens")
        device = context.device or model.device
        cache = PartCache.of(fingerprint(model, context.calibration, _about(self, plan, device.type)), context.log)
        blocks = list(find_blocks(model).values())
        texts = batches(sequences, size=1) if self.finetune == "e2e" else []
        counts = [sum(each.startswith(f"{name}.") for each in layers) for name in find_blocks(model)]
        whole = sum(block_steps(count, plan) for count in counts) + (DISTILLATION.epochs if texts else 0)
        steps = Steps(context.progress, whole)
        steps.take(0)
        threads = suited_threads(max(sum(p.numel() for p in block.parameters()) for block in blocks))
        with threads, fast_float32(), cache.told_when_stopped(len(blocks)):
            cache_teacher(model, texts, cache, device)
            quantize_blocks(model, sequences, list(layers), plan, cache, context.log, steps, device)
            if texts:
                draw = generator(context.seed, "end to end")
                with working_on(model, device):
                    distill(model, blocks, texts, held_out(len(texts)), cache, draw, DISTILLATION, context.log, steps)
        cache.remove()
        return model

    def save(self, model: PreTrainedModel, folder: Path) -> None:
        """Write a checkpoint of a quantized model."""
        self.checkpoint.save(model, folder, packed=self.packed)

    def checkpoint_readers(self) -> CheckpointReaders:
        """Say who loads the checkpoints that `save` writes."""
        return self.checkpoint.readers(packed=self.packed)

    def layer_forms(self) -> Sequence[LayerForm]:
        """Return the form in which the cache of quantized models holds the layers."""
        from qharness.plugins.aqlm.aqlm_layer_forms import AQLM_LINEAR

        return (AQLM_LINEAR,)

    def weight_bytes(self, layers: Mapping[str, tuple[int, int]], element_bytes: int) -> WeightBytes:
        """Compute the sizes of a model's coded layers from their (out, in)."""
        from qharness.plugins.aqlm.sizes import divisible, weight_bytes

        coded = divisible(layers, self.group, self.skip_indivisible)
        return weight_bytes(coded, self.shape(coded), element_bytes)


def _about(quantizer: Aqlm, plan: BlockPlan, device: str) -> Mapping[str, object]:
    import importlib.metadata

    packages = ("qharness", "torch", "transformers")
    return {
        "options": asdict(quantizer),
        "revision": quantizer.revision,
        "plan": asdict(plan),
        "device": device,
        "versions": {package: importlib.metadata.version(package) for package in packages},
    }


@hookimpl
def qharness_quantizers() -> list[type[Quantizer]]:
    """Offer `aqlm`."""
    return [Aqlm]
