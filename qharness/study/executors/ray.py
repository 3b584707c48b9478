"""Does jobs on a Ray cluster: each group is a Ray task with its needs, which Ray places."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from qharness.errors import MissingDependencyError, QHarnessError, first_line
from qharness.execution.pool import CORES
from qharness.registry import get_registry
from qharness.specs import ModelSpec
from qharness.study.executors import Watcher
from qharness.study.jobs import Attempt, Job, JobOutcome, Memory, perform
from qharness.study.schedule import Group, Schedule

MEMORY_FACTOR = 2.0
"""Memory asked for, over what the full-precision model's weights take: a quantizer's peak is 1.3 to 1.5 times that."""

NODE_RETRIES = 5
"""How often a job is tried again whose node died, which is no fault of the job's. One whose process died: once."""

_PASSED_ON = ("QHARNESS_", "HF_", "TRANSFORMERS_")


@dataclass
class _Task:
    """A group that Ray works on: its stream of answers, and those of its jobs that have not ended."""

    answers: Any
    group: Group

    @property
    def job(self) -> Job:
        return self.group.jobs[0]


@dataclass(frozen=True)
class _Loss:
    """What happened to a job's task, for the `number`-th time, and how often the job is tried again for that."""

    what: str
    number: int
    retries: int

    @property
    def again(self) -> bool:
        """Whether the job is tried again."""
        return self.number <= self.retries


class OnRay:
    """A cluster that runs already, at `address`, or one of this machine alone.

    `workers`: how many tasks are to share the cluster's cores; by default as many as it has GPUs, or machines.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self._address, self._asked = address, workers
        self._ray = import_ray()
        self.workers = 2  # at least, as far as is known: lines say whose they are

    def run(self, schedule: Schedule, watcher: Watcher) -> Generator[Attempt, None, None]:
        """Do the jobs, and yield an attempt for each."""
        with redirect_stdout(sys.stderr):  # where Ray's own lines are to go
            yield from self._run(schedule, watcher)

    def _run(self, schedule: Schedule, watcher: Watcher) -> Iterator[Attempt]:
        """Submit groups of jobs as they may begin; yield attempts as Ray's tasks answer; cancel the rest at the end."""
        ray = self._ray
        self._connect()
        tasks: dict[Any, _Task] = {}
        try:
            while schedule.open:
                while group := schedule.take():
                    task = self._submit(group)
                    tasks[task.answers] = task
                    watcher.began(task.job)
                (ready,), _ = ray.wait(list(tasks), num_returns=1)
                yield from self._handle_answer(tasks, tasks[ready], schedule, watcher)
        finally:
            for task in tasks.values():
                ray.cancel(task.answers, force=True)
            ray.shutdown()

    def _connect(self) -> None:
        try:
            self._ray.init(address=self._address, log_to_driver=True, logging_level="ERROR", include_dashboard=False)
        except (ConnectionError, ValueError) as error:
            raise QHarnessError(f"no Ray cluster at {self._address}: {first_line(error)}") from None

    def _submit(self, group: Group) -> _Task:
        ray, spec = self._ray, group.jobs[0].model
        needs = needs_of(group, ray.nodes(), self._asked)
        passed = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
        task = ray.remote(do_group).options(
            name=f"{spec.model}, {spec.quant}",
            num_returns="streaming",
            max_retries=0,  # what is tried again is the schedule's to say
            runtime_env={"env_vars": {**passed, CORES: str(needs["num_cpus"])}},
            **needs,
        )
        return _Task(task.remote(group, Path.cwd()), group)

    def _handle_answer(
        self, tasks: dict[Any, _Task], task: _Task, schedule: Schedule, watcher: Watcher
    ) -> Iterator[Attempt]:
        """Take an answer of a task that has one; yields the attempts that end with it."""
        del tasks[task.answers]
        left = task.group.jobs[1:]
        try:
            outcome: JobOutcome = self._ray.get(next(task.answers))
        except (self._ray.exceptions.RayError, StopIteration) as error:
            loss = self._loss_of(task.job, error, schedule)
            if loss.again:
                watcher.said(f"{loss.what}; tried again ({loss.number} of {loss.retries}): {task.job}")
                left = task.group.jobs
            else:
                outcome = JobOutcome(error=f"{loss.what}, {loss.number} times")
                yield from schedule.end(task.job, outcome)
            task = self._submit(Group(left, task.group.wait)) if left else task
        else:
            yield from schedule.end(task.job, outcome)
            task = _Task(task.answers, Group(left, task.group.wait))
        if left:
            tasks[task.answers] = task
            watcher.began(task.job)

    def _loss_of(self, job: Job, error: Exception, schedule: Schedule) -> _Loss:
        """Record why a task ended without an answer, and how often that has happened to its job."""
        if isinstance(error, self._ray.exceptions.NodeDiedError):
            return _Loss("the Ray node of this job died", schedule.lost(job, "node"), NODE_RETRIES)
        return _Loss(f"the Ray task of this job failed: {first_line(error)}", schedule.lost(job), 1)


def import_ray() -> Any:
    """Import Ray; raise MissingDependencyError where it is not installed."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # as it will be; the present way warns
    try:
        import ray
    except ImportError:
        raise MissingDependencyError("ray", "pip install 'qharness[ray]'") from None
    return ray


def do_group(group: Group, folder: Path) -> Iterator[JobOutcome]:
    """The Ray task: does jobs one after another and yields their outcomes. `folder`: that of relative paths."""
    if folder.is_dir():
        os.chdir(folder)
    memory = Memory()
    for job in group.jobs:
        with redirect_stdout(sys.stderr):
            outcome = perform(job, memory, wait=group.wait)
        yield outcome


def needs_of(group: Group, nodes: list[dict[str, Any]], workers: int | None = None) -> dict[str, Any]:
    """`num_gpus`, `num_cpus` and `memory` (bytes) of a task, no more than the cluster's machines have.

    One GPU, where there are any and the device is not the CPU; a worker's share of the cores; MEMORY_FACTOR times
    the full-precision model, where its architecture is known.
    """
    machines = [node["Resources"] for node in nodes if node["Alive"]]
    cores = [int(machine.get("CPU", 0)) for machine in machines if machine.get("CPU")]
    gpus = int(sum(machine.get("GPU", 0) for machine in machines))
    spec = group.jobs[0].model
    share = sum(cores) // (workers or gpus or len(cores) or 1)
    memory = min(
        _memory(spec.model, _dtype(spec), spec.trust_remote_code),
        max((machine.get("memory", 0) for machine in machines), default=0),
    )
    return {
        "num_gpus": int(gpus > 0 and spec.device != "cpu"),
        "num_cpus": max(1, min(share, *cores)) if cores else 1,
        **({"memory": int(memory)} if memory else {}),
    }


def _dtype(spec: ModelSpec) -> str:
    return "float32" if (spec.dtype, spec.device) == ("auto", "cpu") else spec.dtype


@cache
def _memory(model: str, dtype: str, trust_remote_code: bool) -> float:
    from qharness.models.checkpoint import Checkpoint
    from qharness.models.weight_footprint import footprint

    try:
        found = footprint(Checkpoint(model, trust_remote_code), get_registry().quantizer("none"), dtype)
        return MEMORY_FACTOR * found.total_bytes
    except QHarnessError:  # not a model, which its run will say; or one whose layers are not known
        return 0.0
