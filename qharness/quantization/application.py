"""Gives a loaded model to a quantizer, and finds the parts that it left in full precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qharness.api.calibration_sets import Calibration
from qharness.api.quantizers import BlockwiseQuantizer, QuantizationContext, Quantizer, SizedQuantizer
from qharness.models.conversion import to_linears
from qharness.models.loading import LoadedModel, load_model
from qharness.models.untouched import Snapshot, least_untouched, require_finite
from qharness.progress import phase
from qharness.quantization.calibration import calibrate
from qharness.quantization.resolution import BoundModel, bind_model
from qharness.specs import ModelSpec

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel


def quantize_loaded(
    loaded: LoadedModel,
    quantizer: Quantizer,
    *,
    seed: int = 0,
    calibration: Calibration | None = None,
    log: Callable[[str], None] = lambda _: None,
    allow_untouched: bool = False,
) -> None:
    """Replace `loaded.model` by its quantized form, on the device where it runs if the quantizer works there.

    Raises ModelError for weights that are not finite and, before any work unless `allow_untouched`, where a quantizer
    of Linears would leave more than half of the blocks alone. Sets `loaded.untouched` to the parts left alone.
    """
    import torch

    if not isinstance(quantizer, BlockwiseQuantizer):
        loaded.place()
    if quantizer.name == "none":
        return
    snapshot = _prepare(loaded.model, quantizer, allow_untouched)
    with phase("quantize", "steps") as progress, torch.no_grad():
        context = QuantizationContext(loaded.tokenizer, seed, calibration, log, loaded.device, progress)
        loaded.model = quantizer.quantize(loaded.model, context).eval()  # type: ignore[assignment]
    if snapshot is not None:
        to_linears(loaded.model)  # it may be another model, with the same names once it is converted
        loaded.untouched = snapshot.untouched(loaded.model)
        if loaded.untouched.notable:
            log(f"{quantizer.name}: {loaded.untouched}")


def _prepare(model: PreTrainedModel, quantizer: Quantizer, allow_untouched: bool) -> Snapshot:
    """Check a model and bring it into the form that quantizers take."""
    require_finite(model)
    to_linears(model)
    if isinstance(quantizer, SizedQuantizer) and not allow_untouched:
        least_untouched(model).require_less_than_half(quantizer.name)
    return Snapshot.of(model)


def quantize(
    model: str | LoadedModel,
    quant: str,
    calib: str | None = None,
    *,
    seed: int = 0,
    allow_untouched: bool = False,
    trust_remote_code: bool = False,
) -> nn.Module:
    """Load `model` unless it is loaded, and quantize it.

    `quant` and `calib` are spec strings; `calib` is used only by quantizers that need it. `allow_untouched`: also where
    more than half of the blocks' parameters stay in full precision. `trust_remote_code`: run the Python code that a
    checkpoint brings. Raises SpecError, SettingError, UnknownNameError or ModelError.
    """
    bound = bind_model(ModelSpec(quant=quant, calib=calib, seed=seed, allow_untouched=allow_untouched))
    loaded = load_model(model, placed=False, trust_remote_code=trust_remote_code) if isinstance(model, str) else model
    return quantize_bound(loaded, bound)


def quantize_bound(loaded: LoadedModel, bound: BoundModel) -> nn.Module:
    """Calibrate and quantize a loaded model, and move it to where it is to run. Raises ModelError or DataError."""
    spec, chosen = bound.spec, bound.calibration_set
    calibration = calibrate(loaded, chosen, seed=spec.seed, data_dir=spec.data_dir) if chosen else None
    quantize_loaded(
        loaded, bound.quantizer, seed=spec.seed, calibration=calibration, allow_untouched=spec.allow_untouched
    )
    if loaded.untouched and not spec.allow_untouched:
        loaded.untouched.require_less_than_half(bound.quantizer.name)
    loaded.place()
    return loaded.model
