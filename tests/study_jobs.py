"""Jobs that do little or come to grief, for tests of what does a study's jobs. Named as `tests.study_jobs:...`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from qharness import QHarnessError, RunSpec
from qharness.progress import note, phase
from qharness.study.jobs import Memory


def write(spec: RunSpec, memory: Memory, *, wait: bool) -> Path:
    """A file that says who did it, and with how many threads."""
    note(f"writing {spec.task}")
    with phase("letters") as progress:
        progress(1, 1)
    spec.output.mkdir(parents=True, exist_ok=True)
    path = spec.output / f"{spec.model}-{spec.task}"
    names = ("OMP_NUM_THREADS", "QHARNESS_CORES", "CUDA_VISIBLE_DEVICES")
    path.write_text(f"{os.getpid()} {','.join(os.environ.get(name, '-') for name in names)}")
    return path


def fail(spec: RunSpec, memory: Memory, *, wait: bool) -> Path:
    """A mistake of the user's, or a bug."""
    if spec.task == "mistake":
        raise QHarnessError("no such thing")
    raise ZeroDivisionError("by nought")


def die(spec: RunSpec, memory: Memory, *, wait: bool) -> Path:
    """Killed, as for too little memory: the first time only, where the task is called `once`."""
    seen = spec.output / f"died-{spec.task}"
    if spec.task != "once" or not seen.exists():
        spec.output.mkdir(parents=True, exist_ok=True)
        seen.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return seen


def sleep(spec: RunSpec, memory: Memory, *, wait: bool) -> Path:
    """Too long to wait for."""
    spec.output.mkdir(parents=True, exist_ok=True)
    (spec.output / f"sleeps-{os.getpid()}").touch()
    time.sleep(600)
    return spec.output
