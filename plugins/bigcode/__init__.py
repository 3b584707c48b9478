"""The tasks of bigcode-evaluation-harness, if it is installed: `bigcode:TASK`.

Its prompts, stop words, postprocessing and results are used as they are; qharness generates and quantizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qharness import TaskFamily, hookimpl


def names() -> Sequence[str]:
    """Return the names of its tasks. Importing the package takes seconds."""
    from bigcode_eval.tasks import ALL_TASKS

    return list(ALL_TASKS)


def configuration(name: str) -> dict[str, Any]:
    """Return the configuration of one of its tasks, which lm-eval loads."""
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
