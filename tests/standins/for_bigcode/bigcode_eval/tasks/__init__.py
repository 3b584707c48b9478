import inspect
from typing import Any

from bigcode_eval.tasks.small import ByPlace, Infilling, Programs, Summaries

TASK_REGISTRY = {"programs": Programs, "by-place": ByPlace, "summaries": Summaries, "infilling": Infilling}
ALL_TASKS = sorted(TASK_REGISTRY)


def get_task(task_name: str, args: Any = None) -> Any:
    parameters = inspect.signature(TASK_REGISTRY[task_name]).parameters
    return TASK_REGISTRY[task_name](**({"prompt": args.prompt} if "prompt" in parameters else {}))
