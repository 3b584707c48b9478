"""`qharness runs`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qharness.cli.defaults_file import runs_folder
from qharness.cli.options import Json, bounded
from qharness.cli.output import echo, print_json, print_table, score
from qharness.evaluate.run.run_listing import LAST, ListedRun, list_runs, short_ids
from qharness.progress import note

if TYPE_CHECKING:
    from qharness.storage.json_values import JsonObject

_SHOWN = 50


def runs(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder of run folders; by default the defaults file's output, or runs.")
    ] = None,
    newest: Annotated[int | None, bounded("newest", "Only the newest N; 50 by default, all with --json.")] = None,
    json: Json = False,
) -> None:
    """List runs, newest first, with the short ids by which other commands know them.

    An id, or the first digits of one, stands for a run's folder wherever a command takes one; `last` stands for the
    newest that is whole. FOLDER/ID and FOLDER/last are those of another folder.
    """
    place = folder or runs_folder()
    found = list_runs(place)
    ids = short_ids(found)
    if json:
        print_json([_document(ids[run.folder], run) for run in found[:newest]])
        return
    shown = found[: newest or _SHOWN]
    if not shown:
        echo(f"no runs in {place}")
        return
    print_table(
        ("id", "date", "model", "quantizer", "task", "samples", "pass@1", "state"),
        [(ids[run.folder], f"{_date(run):%Y-%m-%d %H:%M}", *_row(run)) for run in shown],
    )
    if len(shown) < len(found):
        note(f"the newest {len(shown)} of {len(found):,} runs in {place}; --newest {len(found)} shows all")
    newest_whole = next((run for run in found if run.whole), None)
    if newest_whole:
        note(f"{LAST} is {ids[newest_whole.folder]}")


def _row(run: ListedRun) -> tuple[str, ...]:
    """Model, quantizer, task, samples, the main metric and the state of a run."""
    record = run.record
    if record is None:
        made = run.count_completions()
        return (*run.labels, "", "", f"{run.state}, {made} completions")
    samples = "" if record.spec.samples is None else str(record.spec.samples)
    drawn = record.spec.drawn
    state = run.state if drawn is None else f"{run.state}, {drawn.pairs} completions"
    return (*run.labels, samples, _score(run), state)


def _score(run: ListedRun) -> str:
    """The main metric, named where it is not pass@1."""
    record = run.record
    metric = record.main_metric_name if record else None
    if record is None or metric is None:
        return ""
    value = score(metric, record.own_metrics.get(metric))
    return value if metric == "pass@1" else f"{metric} {value}"


def _date(run: ListedRun) -> datetime:
    return datetime.fromtimestamp(run.time).astimezone()


def _document(short: str, run: ListedRun) -> JsonObject:
    record = run.record
    model, quant, task = run.labels
    common = {"id": short, "folder": str(run.folder), "date": _date(run).isoformat(timespec="seconds")}
    state = {"state": run.state, "model": model, "quant": quant, "task": task}
    if record is None:
        return {**common, **state, "completions": run.count_completions()}
    spec = record.spec
    metric = record.main_metric_name
    return {
        **common,
        **state,
        "model": spec.model,
        "task": spec.task,
        "calib": spec.calib,
        "chat": spec.chat,
        "samples": spec.samples,
        "limit": spec.limit,
        "drawn": spec.drawn and spec.drawn.pairs,
        "metric": metric,
        "value": record.own_metrics.get(metric) if metric else None,
    }
