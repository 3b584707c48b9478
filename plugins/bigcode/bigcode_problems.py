"""Makes a task of bigcode-evaluation-harness, reads its problems, and says which data are missing where some are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from bigcode_eval.tasks import TASK_REGISTRY, get_task

from qharness import DataError, QHarnessError, first_line

_ARGUMENTS = SimpleNamespace(prompt="instruct", load_data_path=None)  # some of its tasks need them


def loaded_task(name: str) -> Any:
    """Make the task `bigcode:TASK`; raise DataError where its own code fails, with the data that it could not have.

    Some tasks load their data at once. Others warn that they have none, and fail when first asked for a problem.
    """
    short = name.partition(":")[2]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Loading the dataset failed")
        try:
            task = get_task(short, _ARGUMENTS)
        except Exception as error:  # whatever its tasks raise when they cannot be made
            found = _missing_data(name, TASK_REGISTRY[short], error)
            raise found or DataError(f"task {name!r}: bigcode_eval does not make it: {_told(error)}") from error
    return task


def loaded_problems(task: Any, name: str) -> Iterator[dict[str, Any]]:
    """Yield a document a problem; raise DataError if there is no data, QHarnessError for a prompt that is no text."""
    try:
        dataset = task.get_dataset()
        problems = [dataset[number] for number in range(len(dataset))]
        prompts = [task.get_prompt(problem) for problem in problems]
        references = [task.get_reference(problem) for problem in problems]
    except Exception as error:  # whatever its tasks raise without data
        found = _missing_data(name, task, error)
        raise found or DataError(f"task {name!r}: its data could not be read: {_told(error)}") from error
    for number, (problem, prompt, reference) in enumerate(zip(problems, prompts, references, strict=True)):
        if not isinstance(prompt, str):
            parts = " and ".join(prompt) if isinstance(prompt, Mapping) else type(prompt).__name__
            raise QHarnessError(f"task {name!r} prompts with {parts}, which each model wants put in a way of its own")
        own = problem.get("task_id") if isinstance(problem, Mapping) else None
        yield {
            "task_id": str(number if own is None else own),
            "number": number,
            "prompt": prompt,
            "reference": reference if isinstance(reference, str) else repr(reference),
        }


def _missing_data(name: str, task: Any, error: Exception) -> DataError | None:
    """Return an error that names the task's data set, or None where another fault made the task fail."""
    lacks_data = isinstance(error, OSError) or "no attribute 'dataset'" in str(error)
    path = getattr(task, "DATASET_PATH", None)
    if not lacks_data:
        return None
    if not path:
        return DataError(f"task {name!r}: bigcode_eval could not fetch its data: {_told(error)}")
    subset = getattr(task, "DATASET_NAME", None)
    data = f"{path} ({subset})" if subset else path
    return DataError(
        f"task {name!r} has no data: bigcode_eval loads {data} from huggingface.co, which cannot be reached or does "
        f"not have it; connect once, or put the data set's files into a folder {path} of the working directory"
    )


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
