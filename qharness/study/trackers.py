"""Experiment trackers that finished runs are logged to, a row each; a tracker's package is imported when it is used."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qharness.errors import MissingDependencyError

_PROJECT = "qharness"
_KEY = "qharness"  # the tag by which a run is known again


@dataclass(frozen=True)
class TrackedRun:
    """A finished run as a tracker takes it. Names are letters, digits and underscores, which all trackers allow.

    `key`: the hash of the run's folder, by which a run that is logged again is known. `tags`: the verdict and its
    sentence, which may change when the run is compared anew. `document`: the path of its run.json.
    """

    name: str
    key: str
    parameters: Mapping[str, str | int | float | bool]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    document: Path


@dataclass(frozen=True)
class Tracker:
    """A tracker: the package that it needs, which is an extra of ours too, and the function that logs one run.

    The function may raise anything: the run is whole, and the error becomes a note.
    """

    package: str
    log: Callable[[TrackedRun], None]

    def check(self) -> None:
        """Raise MissingDependencyError where the package is not installed."""
        if importlib.util.find_spec(self.package) is None:
            raise MissingDependencyError(self.package, f"pip install 'qharness[{self.package}]'")


def _to_mlflow(run: TrackedRun) -> None:
    """Log to the server at MLFLOW_TRACKING_URI; into experiment `qharness`, unless the environment names another."""
    import mlflow

    if not {"MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"} & os.environ.keys():
        mlflow.set_experiment(_PROJECT)
    before = mlflow.search_runs(filter_string=f"tags.{_KEY} = '{run.key}'", output_format="list")
    known = before[0].info.run_id if before else None
    with mlflow.start_run(run_id=known, run_name=None if known else run.name):
        mlflow.set_tags({_KEY: run.key, **run.tags})
        mlflow.log_params(dict(run.parameters))
        mlflow.log_metrics(dict(run.metrics))
        mlflow.log_artifact(str(run.document))


def _to_wandb(run: TrackedRun) -> None:
    """Log to Weights & Biases, by the account and mode in its own environment variables."""
    import wandb

    settings = wandb.Settings(console="off", silent=True)
    with wandb.init(
        project=os.environ.get("WANDB_PROJECT", _PROJECT),
        id=run.key,
        name=run.name,
        config=dict(run.parameters),
        resume="allow",
        settings=settings,
    ) as tracked:
        tracked.log(dict(run.metrics))
        tracked.summary.update(dict(run.tags))
        artifact = wandb.Artifact(f"run-{run.key}", type="run")
        artifact.add_file(str(run.document))
        tracked.log_artifact(artifact)


def _to_trackio(run: TrackedRun) -> None:
    """Log to Trackio: its local database, or the server or Space in its own environment variables."""
    import trackio

    trackio.init(
        project=os.environ.get("TRACKIO_PROJECT", _PROJECT),
        name=f"{run.name}-{run.key}",
        config={**run.parameters, **run.tags},
        resume="allow",
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
    )
    trackio.log(dict(run.metrics))
    trackio.log_artifact(str(run.document), name=f"run-{run.key}", type="run")
    trackio.finish()


TRACKERS: Mapping[str, Tracker] = {
    "wandb": Tracker("wandb", _to_wandb),
    "mlflow": Tracker("mlflow", _to_mlflow),
    "trackio": Tracker("trackio", _to_trackio),
}

if TYPE_CHECKING:
    TrackerName = str
else:
    TrackerName = Literal[tuple(TRACKERS)]
"""The names in the table: the choices of `--track`."""
