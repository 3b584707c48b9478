"""Grids of runs. The smallest is one run and the baseline it is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qharness.study.run_jobs import run, run_tasks

__all__ = ["run", "run_tasks"]


def __getattr__(name: str) -> Any:
    """Import a name on first use: a study's parent process needs neither torch nor lm-eval."""
    if name not in __all__:
        raise AttributeError(f"module 'qharness.study' has no attribute {name!r}")
    from qharness.study import run_jobs

    return getattr(run_jobs, name)
