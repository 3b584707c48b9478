"""Measures the noise of quantizers, each against its model in full precision. One model is in memory at a time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import Tensor

from qharness.api.calibration_sets import CalibrationSet
from qharness.errors import DataError
from qharness.models.conversion import to_linears
from qharness.models.loading import LoadedModel, load_model
from qharness.noise.forward_passes import full_precision, quantized
from qharness.quantization.calibration import calibrate
from qharness.quantization.quantized_models import Models
from qharness.quantization.resolution import BoundModel, bind_set, resolve
from qharness.results import NoiseReport
from qharness.results.measured import InputSet, MeanNoise
from qharness.spec import unbind
from qharness.specs import ModelSpec
from qharness.storage.benchmark_files import cache_path

SEQUENCES, TOKENS = 8, 512  # of the inputs, where none are named: hidden states of all blocks are kept


@dataclass(frozen=True)
class NoiseInputs:
    """The sequences to run a model on: the first ones of a calibration set, or, `held_out`, those after its `n`."""

    chosen: CalibrationSet
    held_out: bool

    @classmethod
    def of(cls, calib: str | None, inputs: str | None) -> NoiseInputs:
        """The set `inputs`; where it is None, the sequences of `calib` that nothing is calibrated with."""
        return cls(bind_set(calib if inputs is None else inputs), inputs is None)


def measure_noise(models: Sequence[BoundModel], inputs: NoiseInputs) -> Iterator[NoiseReport]:
    """The noise of one model under several quantizers: one report each, in order. Raises ModelError or DataError.

    The full-precision model is run first and let go; its weights wait in files in qharness's cache folder, which are
    removed at the end.
    """
    resolved = [resolve(models[0])]
    resolved += [resolve(bound, resolved[0].checkpoint) for bound in models[1:]]
    spec = models[0].spec
    own = cache_path()
    own.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="noise-", dir=own) as folder:
        loaded = load_model(resolved[0].checkpoint, spec.device, spec.dtype)
        to_linears(loaded.model)
        sequences = draw_inputs(loaded, inputs, spec)
        about = _about(loaded, inputs, spec.seed, sequences)
        reference = full_precision(loaded.model, sequences, Path(folder))
        del loaded
        for each in resolved:
            model = Models().get(each).loaded.model
            layers = quantized(model, sequences, reference)
            del model
            yield dataclasses.replace(
                about,
                quantizer=each.spec.quant,
                calibration=each.spec.calib,
                mean=MeanNoise(
                    _mean(layer.weight_noise for layer in layers), _mean(layer.activation_noise for layer in layers)
                ),
                layers=layers,
            )


def draw_inputs(loaded: LoadedModel, inputs: NoiseInputs, spec: ModelSpec) -> list[Tensor]:
    """The sequences to run, int64 [length] each, drawn by the spec's seed from its `data_dir`."""
    used: Any = inputs.chosen
    if not inputs.held_out:
        return list(calibrate(loaded, used, seed=spec.seed, data_dir=spec.data_dir).sequences)
    more = dataclasses.replace(used, n=used.n + SEQUENCES)
    known, drawn = (calibrate(loaded, each, seed=spec.seed, data_dir=spec.data_dir).sequences for each in (used, more))
    seen = {tuple(sequence.tolist()) for sequence in known}
    held_out = [sequence[:TOKENS] for sequence in drawn if tuple(sequence.tolist()) not in seen][-SEQUENCES:]
    if not held_out:
        raise DataError(f"calibration set {used.name!r} has no text beside what it calibrates with: name --inputs")
    return held_out


def _about(loaded: LoadedModel, inputs: NoiseInputs, seed: int, sequences: Sequence[Tensor]) -> NoiseReport:
    """A report of the model and its inputs, that lacks the noise."""
    return NoiseReport(
        model=loaded.name,
        parameters=loaded.model.num_parameters(),
        dtype=str(loaded.model.dtype).removeprefix("torch."),
        seed=seed,
        inputs=InputSet(
            str(unbind(inputs.chosen)), inputs.held_out, len(sequences), sum(len(sequence) for sequence in sequences)
        ),
        quantizer="",
        mean=MeanNoise(),
        layers=(),
    )


def _mean(values: Iterable[float]) -> float:
    """The mean of the finite values; NaN if none is."""
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan
