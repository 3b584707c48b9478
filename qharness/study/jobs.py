"""The jobs of a study, and their outcomes. Light: the code that does a job is imported when there is one."""

from __future__ import annotations

import dataclasses
import importlib
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from qharness.errors import BusyError, QHarnessError, first_line
from qharness.progress import note
from qharness.quantization.backends import find_backend
from qharness.results import RunResult
from qharness.specs import MaxLoss, ModelSpec, RunSpec, TaskName
from qharness.storage.disk_errors import as_disk_error
from qharness.study.remote import Remote

if TYPE_CHECKING:
    from qharness.quantization.quantized_models import Models

KINDS = {
    "run": "qharness.study.run_jobs:perform",
    "profile": "qharness.study.measurement_jobs:profile",
    "noise": "qharness.study.measurement_jobs:noise",
}
"""The `JobFunction` of each kind of job, as `module:function`. A kind with a colon in it names its own."""


@dataclass(frozen=True)
class Measurement:
    """A model to measure, once, whatever it is run on; the result goes to a folder in `output`.

    `instance`: the machine by which a profile reckons dollars and CO2, if any.
    """

    model: ModelSpec
    output: Path
    instance: str | None = None


class Memory:
    """The last model, which one process holds from a job to the next."""

    @cached_property
    def models(self) -> Models:
        """The maker of models, imported on first use: it takes seconds."""
        from qharness.quantization.quantized_models import Models

        return Models()

    def forget(self) -> None:
        """Free the last model."""
        self.__dict__.pop("models", None)


class JobFunction(Protocol):
    """Does one job and returns its folder or file of results. Done again, it only finds them.

    `wait` false: raises BusyError where another process is at it.
    """

    def __call__(self, spec: RunSpec | Measurement, memory: Memory, *, wait: bool) -> Path:
        """Do the job."""
        ...


@dataclass(frozen=True)
class Job:
    """A job of a study: a run, or a measurement that is done once for a model. `remote`: where results are stored."""

    spec: RunSpec | Measurement
    kind: str = "run"
    remote: Remote | None = None

    @property
    def model(self) -> ModelSpec:
        """The model, equal for jobs that share it, quantized and calibrated alike: one process does them in turn."""
        return self.spec.model if isinstance(self.spec, Measurement) else self.spec.model_spec

    @property
    def task(self) -> TaskName | None:
        """The task of a run."""
        return None if isinstance(self.spec, Measurement) else self.spec.task_name

    @property
    def label(self) -> str:
        """The name of the task, with the form of the prompts where they are not raw, or of the kind of measurement."""
        if isinstance(self.spec, Measurement):
            return self.kind
        return self.spec.with_prompting(self.spec.task)

    @property
    def needs(self) -> Job | None:
        """The run that this one is compared with."""
        if self.kind != "run" or isinstance(self.spec, Measurement) or not has_baseline(self.spec):
            return None
        return dataclasses.replace(self, spec=baseline_of(self.spec))

    def __str__(self) -> str:
        return f"{self.model.model}, {self.model.quant}, {self.label}, seed {self.model.seed}"


@dataclass(frozen=True)
class JobOutcome:
    """How an attempt at a job ended, in a form that goes between processes: one of the three is set."""

    path: Path | None = None
    error: str = ""
    busy: str = ""


@dataclass(frozen=True)
class Attempt:
    """A job of a study that has ended: its results' path, and of a run its `result`; or the error."""

    job: Job
    result: RunResult | None = None
    error: str = ""
    path: Path | None = None


def has_baseline(spec: RunSpec) -> bool:
    """Whether a run is to be made to compare with: of full precision, or of the model that was named."""
    named = spec.quant != "none" or spec.baseline is not None
    return spec.compare and spec.baseline_run is None and named


def baseline_of(spec: RunSpec) -> RunSpec:
    """The same run in full precision, of the model `spec.baseline` if one is named, by the backend that has it."""
    return dataclasses.replace(
        spec,
        model=spec.baseline or spec.model,
        quant="none",
        calib=None,
        backend=find_backend(spec.backend).baseline_backend or spec.backend,
        compare=False,
        baseline=None,
        max_loss=MaxLoss(),
    )


def with_baselines(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """These runs after those that they are compared with, each once."""
    baselines = dict.fromkeys(baseline_of(spec) for spec in specs if has_baseline(spec))
    return [*baselines, *(spec for spec in specs if _alone(spec) not in baselines)]


def _alone(spec: RunSpec) -> RunSpec:
    """The same run, compared with nothing."""
    return dataclasses.replace(spec, compare=False, max_loss=MaxLoss())


def perform(job: Job, memory: Memory, *, wait: bool) -> JobOutcome:
    """Do a job in this process. Every error of it is in the outcome and none is raised, so that other jobs go on."""
    module, _, name = KINDS.get(job.kind, job.kind).partition(":")
    try:
        function = cast(JobFunction, getattr(importlib.import_module(module), name))
        if job.remote is None:
            return JobOutcome(function(job.spec, memory, wait=wait))
        with job.remote.synchronized() as folder:
            path = function(dataclasses.replace(job.spec, output=folder), memory, wait=wait)
        job.remote.send(path)
        return JobOutcome(path)
    except BusyError as error:
        return JobOutcome(busy=str(error))
    except QHarnessError as error:
        return JobOutcome(error=str(error))
    except Exception as error:  # a model, a task or a plugin may fail in any way
        if told := as_disk_error(error):
            return JobOutcome(error=str(told))
        for line in traceback.format_exc().rstrip().split("\n"):
            note(line)
        return JobOutcome(error=f"{type(error).__name__}: {first_line(error)}")
