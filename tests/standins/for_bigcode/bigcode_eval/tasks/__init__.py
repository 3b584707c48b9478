import inspect
from typing import Any

from bigcode_eval.tasks.small import ByFolder, ByPlace, Infilling, Programs, Summaries, WithoutData

TASK_REGISTRY = {
    "programs": Programs,
    "by-place": ByPlace,
    "by-folder": ByFolder,
    "summaries": Summaries,
    "infilling": Infilling,
    "without-data": WithoutData,
}
ALL_TASKS = sorted(TASK_REGISTRY)


def get_task(task_name: str, args: Any = None) -> Any:
    parameters = inspect.signature(TASK_REGISTRY[task_name]).parameters
    return TASK_REGISTRY[task_name](**({"prompt": args.prompt} if "prompt" in parameters else {}))
