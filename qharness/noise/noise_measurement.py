"""Measures the noise of quantizers, each against its model in full precision. One model is in memory at a time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from qharness.bounds import check_fields
from qharness.errors import DataError
from qharness.models.conversion import to_linears
from qharness.models.loading import LoadedModel, load_model
from qharness.noise.forward_passes import LayerNoise, Reference, full_precision, quantized
from qharness.quantization.calibration import calibrate, definite_set
from qharness.quantization.quantized_models import Models, definite
from qharness.registry import get_registry
from qharness.spec import unbind
from qharness.specs import RunSpec
from qharness.storage.benchmark_files import cache_path

SEQUENCES, TOKENS = 8, 512  # of the inputs, where none are named: hidden states of all blocks are kept


@dataclass(frozen=True)
class NoiseSpec:
    """What to measure: a model under several quantizers.

    `calib`: the calibration set of quantizers that need one. `inputs`: the calibration set whose sequences are run;
    None: the next sequences of `calib`, after those it calibrates with.
    """

    model: str
    quants: Sequence[str]
    calib: str | None = None
    inputs: str | None = None
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"
    data_dir: Path | None = None
    allow_untouched: bool = False
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        check_fields(self)


def measure_noise(spec: NoiseSpec) -> Iterator[dict[str, Any]]:
    """One document a quantizer, in order. Raises SpecError, UnknownNameError, ModelError or DataError.

    The full-precision model is run first and let go; its weights wait in files in qharness's cache folder, which are
    removed at the end.
    """
    cells = [_cell(spec, quant) for quant in spec.quants]
    for name in (spec.calib, spec.inputs):
        definite_set(name)
    own = cache_path()
    own.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="noise-", dir=own) as folder:
        loaded = load_model(spec.model, spec.device, spec.dtype, trust_remote_code=spec.trust_remote_code)
        to_linears(loaded.model)
        sequences = draw_inputs(loaded, spec)
        about = _about(spec, loaded, sequences)
        reference = full_precision(loaded.model, sequences, Path(folder))
        del loaded
        for cell in cells:
            model = Models().get(cell).loaded.model
            noise = quantized(model, sequences, reference)
            del model
            yield {**about, "quantizer": cell.quant, "calibration": cell.calib, **document(reference, noise)}


def draw_inputs(loaded: LoadedModel, spec: NoiseSpec) -> list[Tensor]:
    """The sequences to run, int64 [length] each: those of `spec.inputs`, or held-out ones of the calibration set."""
    if spec.inputs is not None:
        return list(calibrate(loaded, spec.inputs, seed=spec.seed, data_dir=spec.data_dir).sequences)
    used = get_registry().calibration_set(definite_set(spec.calib))
    more: Any = dataclasses.replace(used, n=used.n + SEQUENCES)  # type: ignore[type-var]
    known, drawn = (
        calibrate(loaded, str(unbind(each)), seed=spec.seed, data_dir=spec.data_dir).sequences for each in (used, more)
    )
    seen = {tuple(sequence.tolist()) for sequence in known}
    held_out = [sequence[:TOKENS] for sequence in drawn if tuple(sequence.tolist()) not in seen][-SEQUENCES:]
    if not held_out:
        raise DataError(f"calibration set {used.name!r} has no text beside what it calibrates with: name --inputs")
    return held_out


def _cell(spec: NoiseSpec, quant: str) -> RunSpec:
    return definite(
        RunSpec(
            task="",
            model=spec.model,
            quant=quant,
            calib=spec.calib,
            seed=spec.seed,
            trust_remote_code=spec.trust_remote_code,
            device=spec.device,
            dtype=spec.dtype,
            data_dir=spec.data_dir,
            allow_untouched=spec.allow_untouched,
        )
    )


def _about(spec: NoiseSpec, loaded: LoadedModel, sequences: Sequence[Tensor]) -> dict[str, Any]:
    return {
        "model": spec.model,
        "parameters": loaded.model.num_parameters(),
        "dtype": str(loaded.model.dtype).removeprefix("torch."),
        "seed": spec.seed,
        "inputs": {
            "set": definite_set(spec.inputs or spec.calib),
            "held_out": spec.inputs is None,
            "sequences": len(sequences),
            "tokens": sum(len(sequence) for sequence in sequences),
        },
    }


def document(reference: Reference, noise: LayerNoise) -> dict[str, Any]:
    """Means over the layers, and a row a layer, by depth: its block's place in a forward pass, from 1."""
    layers = [
        {
            "name": name,
            "block": block,
            "depth": depth,
            "weight_noise": noise.weights.get(name, math.nan),
            "activation_noise": noise.activations.get(name, math.nan),
            "accumulated_noise": noise.accumulated.get(block, math.nan),
            "activation_max": reference.maxima[name].document(),
        }
        for depth, block in enumerate(reference.blocks, 1)
        for name in reference.layers
        if name.startswith(f"{block}.")
    ]
    return {
        "mean": {key: _mean(layers, key) for key in ("weight_noise", "activation_noise")},
        "layers": layers,
    }


def _mean(layers: Sequence[Mapping[str, Any]], key: str) -> float:
    """Over the layers that have one; NaN if none has."""
    values = [layer[key] for layer in layers if math.isfinite(layer[key])]
    return math.fsum(values) / len(values) if values else math.nan
