"""Writes quantized models as checkpoints, whole or not at all."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qharness.api.quantizers import (
    CheckpointReaders,
    DescribedCheckpoint,
    Quantizer,
    SavingQuantizer,
    SizedQuantizer,
)
from qharness.errors import DiskError, ModelError
from qharness.models.checkpoint import Checkpoint
from qharness.models.checkpoint_files import source_bytes, weight_file_bytes
from qharness.models.checkpoint_formats import find_format, quant_method
from qharness.models.conversion import first_converted, from_linears
from qharness.models.loading import LoadedModel, own_dtype
from qharness.models.weight_footprint import meta_model
from qharness.progress import note
from qharness.quantization.quantized_models import Models
from qharness.quantization.resolution import BoundModel, resolve
from qharness.storage.json_values import JsonObject
from qharness.storage.whole_folder import new_folder

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Exported:
    """A checkpoint that was written. Bytes are of its weight files and of its source's; None where unknown.

    `readers`: who loads it besides qharness; None where its quantizer does not say.
    """

    output: Path
    quantizer: str | None
    readers: CheckpointReaders | None
    bytes_before: int | None
    bytes_after: int | None

    def document(self) -> JsonObject:
        """The JSON document."""
        return {
            "output": str(self.output),
            "quantizer": self.quantizer,
            "loads_with": dataclasses.asdict(self.readers) if self.readers else None,
            "bytes": {"before": self.bytes_before, "after": self.bytes_after},
        }


def export_checkpoint(bound: BoundModel, output: Path) -> Exported:
    """Quantize a model and write its checkpoint: weights, configuration, generation settings, tokenizer.

    A model that `run` quantized so, and cached, is taken. Its dtype `auto`: computed as `run` does, and written in the
    model's own dtype. A quantizer that only changes the values of weights needs nothing for this; one that changes
    layers must have `save`. Raises QHarnessError for an output that is not empty, ModelError for a quantizer without
    such a form.
    """
    model = resolve(bound)
    quantizer, checkpoint = model.quantizer, model.checkpoint
    original = meta_model(checkpoint)
    replaces = isinstance(quantizer, SavingQuantizer) and isinstance(quantizer, SizedQuantizer)  # it replaces Linears
    if replaces and (name := first_converted(original)):
        raise _not_loaded(name, original, quantizer)
    dtype = own_dtype(checkpoint, bound.spec.dtype)
    lost = False
    try:
        with new_folder(output) as folder:
            made = Models().get(model, placed=False)
            lost = made.lost
            if made.composition:
                note(f"calibrated on {json.dumps(dict(made.composition))}")
            _write(made.loaded, quantizer, original, dtype, folder)
    except DiskError as error:
        if lost:
            raise DiskError(
                f"{str(error).partition(';')[0]}; the quantized model is lost, for the cache could not take it either: "
                f"make room in both, and run the command again"
            ) from error
        raise
    before, after = source_bytes(checkpoint.source), weight_file_bytes(output)
    return Exported(output, model.spec.quant, _readers(quantizer), before, after)


def _write(loaded: LoadedModel, quantizer: Quantizer, original: nn.Module, dtype: torch.dtype, folder: Path) -> None:
    """Write a quantized model's checkpoint into a folder. `original`: the model as its class makes it."""
    if name := from_linears(loaded.model, original):
        raise _not_loaded(name, original, quantizer)
    if not isinstance(quantizer, SavingQuantizer) and _layout(loaded.model) != _layout(original):
        raise ModelError(
            f"{quantizer.name} has no checkpoint form that transformers loads: it runs with `qharness run`"
        )
    if quant_method(loaded.model.config) is None:  # another library's layers stay in the dtype they were made in
        if isinstance(quantizer, SavingQuantizer):
            _note_rounding(loaded.model.dtype, dtype)
        loaded.model.to(dtype=dtype)  # type: ignore[call-arg]
    if isinstance(quantizer, SavingQuantizer):
        quantizer.save(loaded.model, folder)
    else:
        loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)


def _note_rounding(made: torch.dtype, written: torch.dtype) -> None:
    """Say that a coarser dtype is written than the layers' codebooks and scales were made in."""
    import torch

    if torch.finfo(written).eps > torch.finfo(made).eps:
        new, old = (str(each).removeprefix("torch.") for each in (written, made))
        note(
            f"note: codebooks and scales are rounded to {new}, the model's own dtype; `run` has them in {old}, so some "
            f"completions may differ: --dtype {old} writes them as they are"
        )


def _readers(quantizer: Quantizer) -> CheckpointReaders | None:
    """The readers of a quantizer's checkpoints: without `save`, transformers alone loads them, as any of the class."""
    if isinstance(quantizer, DescribedCheckpoint):
        return quantizer.checkpoint_readers()
    return None if isinstance(quantizer, SavingQuantizer) else CheckpointReaders()


def _not_loaded(name: str, original: nn.Module, quantizer: Quantizer) -> ModelError:
    """The error for a module that transformers looks for in a checkpoint in the form of its own class."""
    form = type(original.get_submodule(name)).__name__
    return ModelError(
        f"{name} is a {form}, which transformers does not load quantized by {quantizer.name}: it runs with "
        "`qharness run`"
    )


def unpack_checkpoint(source: Path, output: Path, trust_remote_code: bool = False) -> Exported:
    """Write a packed checkpoint as one that transformers alone loads. Raises ModelError if it is not packed."""
    if not source.is_dir():
        raise ModelError(f"--unpack {source}: there is no such folder")
    checkpoint = find_format(Checkpoint(str(source), trust_remote_code).config)
    if checkpoint is None:
        raise ModelError(f"{source} is in no format that packs: transformers loads it as it is, or not at all")
    with new_folder(output) as folder:
        checkpoint.unpack(source, folder)
    return Exported(output, None, None, weight_file_bytes(source), weight_file_bytes(output))


def _layout(model: nn.Module) -> dict[str, tuple[torch.Size, bool] | None]:
    """Shape of each entry of a model's state, and whether it is a float: its class must find these to load it."""
    return {
        name: (entry.shape, entry.is_floating_point()) if hasattr(entry, "shape") else None
        for name, entry in model.state_dict().items()
    }
