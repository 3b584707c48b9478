"""What a study measures of its models besides running them: hosting costs and quantization noise, a file each."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qharness.evaluate.run.run_folder import folder_name
from qharness.hosting import ProfileSpec
from qharness.hosting import profile as run_profile
from qharness.models.loading import identity, short_name
from qharness.noise import NoiseSpec, measure_noise
from qharness.quantization.quantized_models import definite
from qharness.specs import RunSpec
from qharness.storage.atomic_writer import write_json
from qharness.storage.locks import locked
from qharness.study.jobs import OF_THE_MODEL, Memory


def profile(spec: RunSpec, memory: Memory, *, wait: bool) -> Path:
    """A study's job of kind `profile`: what the model costs to host."""
    return _once("profile", spec, memory, wait, _profile)


def noise(spec: RunSpec, memory: Memory, *, wait: bool) -> Path:
    """A study's job of kind `noise`: the quantizer's noise, layer by layer."""
    return _once("noise", spec, memory, wait, _noise)


def measured_path(kind: str, spec: RunSpec) -> Path:
    """`OUTPUT/KIND/<model>--<quant>--<calib>--<hash>.json`. Raises QHarnessError for a spec that is wrong."""
    whole = definite(spec)
    key = {name: getattr(whole, name) for name in OF_THE_MODEL} | {
        "model": identity(spec.model, spec.trust_remote_code),
        "qharness": importlib.metadata.version("qharness"),
        **({"trust_remote_code": True} if spec.trust_remote_code else {}),
    }
    parts = (short_name(spec.model), whole.quant, whole.calib or "none")
    return spec.output / kind / f"{folder_name(parts, key, {})}.json"


def _once(kind: str, spec: RunSpec, memory: Memory, wait: bool, measure: Callable[[RunSpec], dict[str, Any]]) -> Path:
    """The file, made if it is not there yet. A model of the jobs before is let go: measuring loads its own."""
    path = measured_path(kind, spec)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock"), str(path), wait=wait):
        if not path.is_file():
            memory.forget()
            write_json(path, measure(definite(spec)))
    return path


def _profile(spec: RunSpec) -> dict[str, Any]:
    return run_profile(
        ProfileSpec(
            model=spec.model,
            quant=spec.quant,
            calib=spec.calib,
            seed=spec.seed,
            device=spec.device,
            dtype=spec.dtype,
            data_dir=spec.data_dir,
            baseline=False,
            allow_untouched=spec.allow_untouched,
            trust_remote_code=spec.trust_remote_code,
        )
    )


def _noise(spec: RunSpec) -> dict[str, Any]:
    (document,) = measure_noise(
        NoiseSpec(
            spec.model,
            [spec.quant],
            spec.calib,
            seed=spec.seed,
            device=spec.device,
            dtype=spec.dtype,
            data_dir=spec.data_dir,
            allow_untouched=spec.allow_untouched,
            trust_remote_code=spec.trust_remote_code,
        )
    )
    return document
