"""`qharness lm-eval`."""

from __future__ import annotations

import os
import sys

import typer


def lm_eval(context: typer.Context) -> None:
    """lm-eval's own command line, with our models and tasks registered. All arguments go to it.

    Perturbed tasks and other harnesses' tasks that the arguments name are registered too.
    """
    from lm_eval.__main__ import cli_evaluate
    from lm_eval.tasks import TaskManager

    from qharness.cli.output import registry
    from qharness.evaluate.run.dynamic_tasks import folder_of, is_named
    from qharness.evaluate.run.lm_eval_bridge import register_model, task_folders
    from qharness.evaluate.run.task_index import cached_task_index

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    folders = task_folders(registry())
    words = [word for argument in context.args for word in argument.removeprefix("--tasks=").split(",")]
    named = [word for word in dict.fromkeys(words) if is_named(word)]
    register_model()
    initialise = TaskManager.__init__

    def with_our_tasks(self: TaskManager, verbosity=None, include_path=None, include_defaults=True, metadata=None):  # type: ignore[no-untyped-def]
        given = [include_path] if isinstance(include_path, str) else list(include_path or [])
        initialise(self, verbosity, [*folders, *given], include_defaults, metadata)

    TaskManager.__init__ = with_our_tasks
    sys.argv = ["lm-eval", *context.args]
    with folder_of(named) as folder, cached_task_index():
        folders.append(str(folder))
        cli_evaluate()
