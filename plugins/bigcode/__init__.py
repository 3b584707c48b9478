"""The tasks of bigcode-evaluation-harness, where it is installed: `bigcode:TASK`.

Prompts, stop words, postprocessing and results are its own; generation and quantization are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qharness import TaskFamily, hookimpl


def names() -> Sequence[str]:
    """Its tasks' names. Importing it takes seconds."""
    from bigcode_eval.tasks import ALL_TASKS

    return list(ALL_TASKS)


def configuration(name: str) -> dict[str, Any]:
    """What lm-eval loads for one of its tasks."""
    from qharness.plugins.bigcode.task import BigcodeTask

    return {"task": name, "class": BigcodeTask}


@hookimpl
def qharness_tasks() -> list[TaskFamily]:
    """Offer `bigcode:TASK`."""
    return [
        TaskFamily(
            name="bigcode",
            module="bigcode_eval",
            summary="any task of bigcode-evaluation-harness, such as bigcode:humaneval; needs --allow-unsandboxed",
            install="pip install git+https://github.com/bigcode-project/bigcode-evaluation-harness",
            names=names,
            configuration=configuration,
            unperturbed="bigcode-evaluation-harness cuts its own prompt off a completion by its length",
        )
    ]
