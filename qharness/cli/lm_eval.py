"""`qharness lm-eval`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import typer

from qharness.errors import SettingError, first_line


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
    with folder_of(named) as folder, cached_task_index(), _refusals_in_one_line():
        folders.append(str(folder))
        cli_evaluate()


_CHECKED_IN = ("lm_eval.config.", "lm_eval.api.registry")
"""The modules in which lm-eval checks its arguments."""


@contextlib.contextmanager
def _refusals_in_one_line() -> Iterator[None]:
    """Raise SettingError for an argument that lm-eval refuses, which it does by a ValueError."""
    try:
        yield
    except ValueError as error:
        raised = error.__traceback__
        while raised and raised.tb_next:
            raised = raised.tb_next
        if raised is None or not raised.tb_frame.f_globals["__name__"].startswith(_CHECKED_IN):
            raise
        raise SettingError(f"lm-eval: {first_line(error)}") from None
