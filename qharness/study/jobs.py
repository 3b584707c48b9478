"""What there is to do for a study, and what came of it. Light: what does a job is imported when there is one."""

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
from qharness.results import RunResult
from qharness.specs import RunSpec
from qharness.storage.disk_errors import as_disk_error
from qharness.study.remote import Remote

if TYPE_CHECKING:
    from qharness.quantization.quantized_models import Models

KINDS = {
    "run": "qharness.study.run_jobs:perform",
    "profile": "qharness.study.measurement_jobs:profile",
    "noise": "qharness.study.measurement_jobs:noise",
}
"""What does the jobs of each kind, as `module:function`, a `Function`. A kind that has a colon names its own."""


OF_THE_MODEL = ("model", "quant", "calib", "seed", "device", "dtype")
"""The fields of a spec that say which model it is, whatever it is run on."""


class Memory:
    """What one process keeps from a job to the next: the last model."""

    @cached_property
    def models(self) -> Models:
        """Imported late: it takes seconds."""
        from qharness.quantization.quantized_models import Models

        return Models()

    def forget(self) -> None:
        """Let the last model go."""
        self.__dict__.pop("models", None)


class Function(Protocol):
    """Does one job and says where its results are: a folder or a file. Done again, it only finds them.

    `wait` false: raises BusyError where another process is at it.
    """

    def __call__(self, spec: RunSpec, memory: Memory, *, wait: bool) -> Path:
        """Do it."""
        ...


@dataclass(frozen=True)
class Job:
    """One thing to do: a run, or a measurement that is done once for a model. `remote`: where results are kept."""

    spec: RunSpec
    kind: str = "run"
    remote: Remote | None = None

    @property
    def group(self) -> tuple[object, ...]:
        """Equal for jobs that share their model, quantized and calibrated alike: one process does them in turn."""
        return tuple(getattr(self.spec, name) for name in OF_THE_MODEL)

    @property
    def needs(self) -> Job | None:
        """The run that this one is compared with."""
        if self.kind != "run" or not has_baseline(self.spec):
            return None
        return dataclasses.replace(self, spec=baseline_of(self.spec))

    def __str__(self) -> str:
        what = self.spec.task if self.kind == "run" else self.kind
        return f"{self.spec.model}, {self.spec.quant}, {what}, seed {self.spec.seed}"


@dataclass(frozen=True)
class JobOutcome:
    """What came of trying a job, in a form that goes between processes: one of the three."""

    path: Path | None = None
    error: str = ""
    busy: str = ""


@dataclass(frozen=True)
class Attempt:
    """A job of a study that has ended: what came of it, or why nothing did. `result` is of a run."""

    spec: RunSpec
    result: RunResult | None = None
    error: str = ""
    kind: str = "run"
    path: Path | None = None


def has_baseline(spec: RunSpec) -> bool:
    """Whether there is something to compare with: full precision, or the model that was named."""
    return spec.compare and (spec.quant != "none" or spec.baseline is not None)


def baseline_of(spec: RunSpec) -> RunSpec:
    """The same run in full precision, of `spec.baseline` if one is named."""
    return dataclasses.replace(
        spec, model=spec.baseline or spec.model, quant="none", calib=None, compare=False, baseline=None
    )


def with_baselines(specs: Sequence[RunSpec]) -> list[RunSpec]:
    """These runs and, before them, those they are compared with, each once."""
    baselines = dict.fromkeys(baseline_of(spec) for spec in specs if has_baseline(spec))
    return [*baselines, *(spec for spec in specs if dataclasses.replace(spec, compare=False) not in baselines)]


def perform(job: Job, memory: Memory, *, wait: bool) -> JobOutcome:
    """Do a job in this process. Nothing that goes wrong with it is raised: the other jobs are not to suffer."""
    module, _, name = KINDS.get(job.kind, job.kind).partition(":")
    try:
        function = cast(Function, getattr(importlib.import_module(module), name))
        if job.remote is None:
            return JobOutcome(function(job.spec, memory, wait=wait))
        with job.remote.kept_up() as folder:
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
