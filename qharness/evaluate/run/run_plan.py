"""A cell: one spec made definite, with the folder its run lives in."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qharness.api.quantizers import Quantizer
from qharness.errors import QHarnessError
from qharness.evaluate.perturb.perturbed_task import canonical
from qharness.evaluate.run.lm_eval_bridge import LoadedTask
from qharness.evaluate.run.run_folder import LOCK, folder_name, read_run
from qharness.models import loading
from qharness.models.decoding import Decoding
from qharness.models.lm import DEPENDENT_BATCH_SIZE
from qharness.progress import note
from qharness.quantization.quantized_models import definite
from qharness.registry import get_registry
from qharness.specs import RunSpec
from qharness.storage.locks import locked

_ALLOWED = ("allow_unsandboxed", "allow_untouched")
_NOT_IN_KEY = (*_ALLOWED, "data_dir", "output", "baseline", "compare", "model", "batch_size")


@dataclass(frozen=True)
class PlannedRun:
    """A run to be made: every default of the spec filled in."""

    spec: RunSpec
    quantizer: Quantizer
    task: LoadedTask
    folder: Path

    @property
    def done(self) -> dict[str, Any] | None:
        """The document of a run that is whole."""
        return read_run(self.folder)


def plan_run(spec: RunSpec, task: LoadedTask) -> PlannedRun:
    """Fill in the task's defaults, apply the spec's own to the task, and find the run's folder."""
    quantizer = get_registry().quantizer(spec.quant)
    whole = dataclasses.replace(definite(spec), **_decoding(spec, task))
    key = {name: value for name, value in dataclasses.asdict(whole).items() if name not in _NOT_IN_KEY}
    if whole.backend == "hf":
        key.pop("backend")  # so that runs from before there was another are found
    if not whole.trust_remote_code:
        key.pop("trust_remote_code")
    key |= {
        "model": loading.identity(spec.model, spec.trust_remote_code),
        "qharness": importlib.metadata.version("qharness"),
    }
    if quantizer.batch_dependent:
        key["batch_size"] = spec.batch_size or DEPENDENT_BATCH_SIZE
    base, perturbation = canonical(spec.task)
    if perturbation != "none":  # one run, however its name spells it
        key["task"] = f"{base}@{perturbation}"
    parts = (loading.short_name(spec.model), whole.quant, whole.calib or "none", perturbation, base)
    extent = {name: key.pop(name) for name in ("samples", "limit")}
    return PlannedRun(whole, quantizer, task, spec.output / folder_name(parts, key, extent))


@contextmanager
def claimed(cell: PlannedRun, *, wait: bool) -> Iterator[bool]:
    """Make a run's folder and keep other processes from it; where one is at it, wait for it or raise BusyError.

    Gives whether the run is still to be made.
    """
    try:
        cell.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise QHarnessError(f"--output {cell.spec.output} cannot be written: {error.strerror}") from None
    lock = cell.folder / LOCK
    with locked(lock, str(cell.folder), wait=wait):
        yield cell.done is None
        if cell.done is not None:  # whoever locks it now finds the run whole, whichever file it locks
            with suppress(OSError):
                lock.unlink()


def _decoding(spec: RunSpec, loaded: LoadedTask) -> dict[str, Any]:
    """The spec's sampling options, applied to the task and completed by the task's own."""
    generative = [t for t in loaded.tasks.values() if t.get_config("output_type") == "generate_until"]
    asked = {
        n: getattr(spec, n)
        for n in ("samples", "temperature", "top_p", "max_new_tokens")
        if getattr(spec, n) is not None
    }
    if not generative:
        if asked:
            raise QHarnessError(
                f"task {spec.task!r} generates nothing: --{next(iter(asked)).replace('_', '-')} does not apply"
            )
        return {}
    for task in generative:
        if spec.samples is not None:
            task.set_config("repeats", spec.samples)
        changes: dict[str, Any] = {}
        if spec.temperature is not None:
            changes |= {"temperature": spec.temperature, "do_sample": spec.temperature > 0}
        if spec.top_p is not None:
            changes["top_p"] = spec.top_p
        if spec.max_new_tokens is not None:
            changes["max_gen_toks"] = spec.max_new_tokens
        if changes:
            task.set_config("generation_kwargs", changes, update=True)
        decoding = Decoding.from_lm_eval(task.get_config("generation_kwargs") or {}, 1)  # what it cannot do is said now
        if decoding.temperature == 0 and (task.get_config("repeats") or 1) > 1:
            note(f"{spec.task}: greedy completions of a problem are all equal, so one is made of each")
            task.set_config("repeats", 1)
    first = generative[0]
    arguments = first.get_config("generation_kwargs") or {}
    sampled = Decoding.from_lm_eval(arguments, 1).temperature > 0  # without do_sample, a temperature alone says so
    return {
        "samples": first.get_config("repeats"),
        "temperature": arguments["temperature"] if sampled else 0.0,
        "top_p": arguments.get("top_p"),
        "max_new_tokens": arguments.get("max_gen_toks"),
    }
