"""The measurements of a study's models besides running them: hosting costs and quantization noise, a file each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qharness.evaluate.run.run_folder import folder_name
from qharness.hosting import ProfileSpec
from qharness.hosting import profile as run_profile
from qharness.hosting.instances import extra_instances
from qharness.noise.noise_measurement import NoiseInputs, measure_noise
from qharness.quantization.resolution import BoundModel, ResolvedModel, bind_model, bind_set, resolve
from qharness.registry import own_version
from qharness.storage.atomic_writer import write_json
from qharness.storage.json_values import JsonObject
from qharness.storage.locks import claimed_elsewhere, locked
from qharness.study.jobs import Measurement, Memory


def profile(spec: Measurement, memory: Memory, *, wait: bool) -> Path:
    """A study's job of kind `profile`: the cost of hosting the model."""
    return _once("profile", spec, memory, wait, _profile)


def noise(spec: Measurement, memory: Memory, *, wait: bool) -> Path:
    """A study's job of kind `noise`: the quantizer's noise, layer by layer."""
    return _once("noise", spec, memory, wait, _noise)


def measured_path(kind: str, output: Path, model: ResolvedModel, instance: str | None = None) -> Path:
    """`OUTPUT/KIND/<model>--<quant>--<calib>--<hash>.json`."""
    key = {**model.key(), "qharness": own_version()}
    if instance is not None:
        key["instance"] = instance
    return output / kind / f"{folder_name(model.name_parts, key, {})}.json"


def _once(
    kind: str, spec: Measurement, memory: Memory, wait: bool, measure: Callable[[Measurement, BoundModel], JsonObject]
) -> Path:
    """The file, made if it is not there yet. A model of the jobs before is let go: measuring loads its own."""
    model = resolve(bind_model(spec.model))
    path = measured_path(kind, spec.output, model, spec.instance)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.stem}.lock")  # hidden, for it is no result
    with locked(lock, str(path), wait=wait), claimed_elsewhere(path, wait=wait):
        if not path.is_file():
            memory.forget()
            write_json(path, measure(spec, model))
    return path


def _profile(spec: Measurement, model: BoundModel) -> JsonObject:
    """Profile a model, however busy the machine: nobody is there to wait, and the document says how busy it was."""
    wanted = ProfileSpec(model, instance=spec.instance, instances=extra_instances(), baseline=False, anyway=True)
    return run_profile(wanted).document


def _noise(spec: Measurement, model: BoundModel) -> JsonObject:
    (report,) = measure_noise([model], NoiseInputs(model.calibration_set or bind_set(None), held_out=True))
    return report.document
