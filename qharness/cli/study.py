"""`qharness study`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from qharness.cli.options import (
    OUTPUT,
    STUDY,
    AllowUnsandboxed,
    AllowUntouched,
    DataDir,
    Json,
    Track,
    TrustRemoteCode,
    bounded,
    check_tracker,
)
from qharness.cli.output import echo, interval, number, p_value, points, print_json, print_table, registry, score
from qharness.cli.served_study import leave_up, page_of
from qharness.cli.verdict_text import (
    FailUnlessHolds,
    Full,
    MaxLossOption,
    exit_status,
    judge_results,
    max_loss_of,
    print_verdicts,
)
from qharness.progress import complain, note
from qharness.specs import MaxLoss, ModelSpec, RunSpec, TaskName
from qharness.study.axes import AXES, Point

if TYPE_CHECKING:
    from qharness.report.live.live_page import LivePage
    from qharness.storage.json_values import JsonObject
    from qharness.study.executors.local import Local
    from qharness.study.executors.ray import OnRay
    from qharness.study.jobs import Attempt, Job
    from qharness.study.study_robustness import RobustnessRow


def study(
    file: Annotated[Path, typer.Argument(help="The study, a TOML file.")],
    output: Annotated[
        str, typer.Option(help="Folder of run folders; or a URL that fsspec knows: s3://...", rich_help_panel=OUTPUT)
    ] = "runs",
    executor: Annotated[
        Literal["local", "ray"],
        typer.Option(help="Worker processes on this machine, or a Ray cluster.", rich_help_panel=STUDY),
    ] = "local",
    workers: Annotated[
        int | None, bounded("workers", "Jobs at a time; by default as many as there are GPUs, at least one.", STUDY)
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            envvar="RAY_ADDRESS", help="A cluster that runs already; else Ray is started here.", rich_help_panel=STUDY
        ),
    ] = None,
    serve: Annotated[
        int | None, bounded("serve", "Show the study in the browser while it runs; PORT may be left out.", STUDY)
    ] = None,
    track: Track = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be run, and run nothing.", rich_help_panel=STUDY)
    ] = False,
    max_loss: MaxLossOption = None,
    fail_unless_holds: FailUnlessHolds = False,
    full: Full = False,
    allow_unsandboxed: AllowUnsandboxed = False,
    allow_untouched: AllowUntouched = False,
    trust_remote_code: TrustRemoteCode = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> int:
    """Make all runs of a grid: models, quantizers, calibration sets, tasks, perturbations, seeds.

    Says first, for each model, the smallest candidate that loses no more than you can bear. Started again, it makes
    only the runs that are missing. Exit code 1 where a run failed. Where some tasks are
    perturbed, robustness is measured too, and written to a file beside the runs.
    """
    registry()
    margin = max_loss_of(max_loss)
    check_tracker(track)
    from qharness.study.jobs import Job, Measurement, with_baselines
    from qharness.study.remote import remote_of
    from qharness.study.study_file import read_study

    remote = remote_of(output)
    folder = remote.folder if remote else Path(output)
    grid = read_study(file)
    common = ModelSpec(data_dir=data_dir, allow_untouched=allow_untouched, trust_remote_code=trust_remote_code)
    specs = grid.specs(folder, common, allow_unsandboxed=allow_unsandboxed)
    runs = with_baselines([dataclasses.replace(spec, max_loss=margin) for spec in specs])
    jobs = [
        *(Job(spec, remote=remote) for spec in runs),
        *(
            Job(Measurement(model, folder, grid.settings.instance if kind == "profile" else None), kind, remote)
            for kind, model in grid.measurements(common)
        ),
    ]
    if dry_run:
        if remote:
            remote.fetch()
        return _plan(jobs, json)
    chosen = _executor(executor, workers, ray_address)
    with page_of(serve, file.stem, folder, margin) as page:
        attempts = _carried_out(jobs, chosen, page, track)
        status = _print_results(attempts, margin, json=json, full=full, fail_unless_holds=fail_unless_holds)
        if any(job.task and job.task.perturbation for job in jobs):
            path = folder / f"robustness-{file.stem}.json"
            _measure_robustness(attempts, path, print_tables=not json)
            if remote and path.is_file():
                remote.send(path)
        if failed := [attempt for attempt in attempts if attempt.error]:
            complain(f"qharness: {len(failed)} of {len(attempts)} jobs failed; {failed[0].job}: {failed[0].error}")
        if page:
            leave_up(page)
    return status


def _carried_out(
    jobs: Sequence[Job], executor: Local | OnRay, page: LivePage | None, track: str | None
) -> list[Attempt]:
    """Do the jobs; show them on the page and log their runs, where that is asked for."""
    from qharness.study.live_view import live_view
    from qharness.study.sweep import carry_out
    from qharness.study.tracking import tracked_study

    with (
        live_view(jobs, executor.workers) as shown,
        tracked_study(track, page.watching(jobs, shown) if page else shown) as watcher,
    ):
        return carry_out(jobs, executor, watcher)


def _print_results(
    attempts: Sequence[Attempt], margin: MaxLoss, *, json: bool, full: bool, fail_unless_holds: bool
) -> int:
    """Print the verdicts and a table, or JSON; return the exit status."""
    verdicts = judge_results([each.result for each in attempts if each.result], margin)
    if json:
        print_json([_document(attempt) for attempt in attempts])
    else:
        print_verdicts(verdicts)
        header = (*_HEADER, "p") if full else _HEADER
        print_table(header, [_row(attempt, full) for attempt in attempts], settings=len(_AXES) + 1)
    if any(attempt.error for attempt in attempts):
        return 1
    return exit_status(verdicts) if fail_unless_holds else 0


def _executor(name: str, workers: int | None, ray_address: str | None) -> Local | OnRay:
    if name == "local":
        from qharness.study.executors.local import Local

        return Local(workers)
    from qharness.study.executors.ray import OnRay

    return OnRay(ray_address, workers)


def _measure_robustness(attempts: Sequence[Attempt], path: Path, print_tables: bool) -> None:
    """Write what perturbations cost, and print table VII and the averages of Wei et al. 2023."""
    from qharness.evaluate.run.lm_eval_bridge import quiet
    from qharness.results.paired_results import PASS_RATE
    from qharness.storage.atomic_writer import write_json
    from qharness.study.study_robustness import Robustness

    runs = [(each.job.spec, each.result) for each in attempts if each.result and isinstance(each.job.spec, RunSpec)]
    found = Robustness(runs)
    if not found.rows:
        note("no robustness: no perturbed run has a counterpart on the original prompts")
        return
    with quiet():
        write_json(path, found.document())
    if print_tables:
        print_table(
            _ROBUSTNESS,
            [
                (
                    *(row.model, row.quant, row.task, row.perturbation),
                    *(score(PASS_RATE, each) for each in (row.unperturbed, row.perturbed)),
                    number(row.drop_percent, "+.2f"),
                    *(str(len(each)) for each in (row.broken, row.mended)),
                    *_rank_tests(row),
                )
                for row in found.rows
            ],
            settings=4,
        )
        print_table(
            ("quant", "average drop, %", "of"),
            [
                (each.quant, number(each.drop_percent, "+.2f"), f"{each.defined} of {each.of}")
                for each in found.averages()
            ],
        )
    note(f"robustness, with the problems that flipped: {path}")


_ROBUSTNESS = (
    *("model", "quant", "task", "perturbation", "original", "perturbed", "drop, %", "broken", "mended"),
    *("p, Mann-Whitney", "p, Wilcoxon"),  # of pass rates on the perturbed prompts against full precision's
)


def _rank_tests(row: RobustnessRow) -> tuple[str, str]:
    from qharness.results.paired_results import PASS_RATE

    found = (row.against_full_precision or {}).get(PASS_RATE)
    return ("n/a", "n/a") if found is None else (number(found.mann_whitney, ".4f"), number(found.wilcoxon, ".4f"))


def _plan(jobs: Sequence[Job], json: bool) -> int:
    """Print the jobs and which of them are done; return exit code 1 where one has an error."""
    from qharness.study.sweep import plan

    plans = list(plan(jobs))
    if json:
        print_json(
            [
                {
                    **{"spec": _axes(job), "kind": job.kind, "folder": each.folder, "done": each.done},
                    **{"error": each.error, "completions": each.completions, "found": each.found},
                }
                for job, each in zip(jobs, plans, strict=True)
            ]
        )
    else:
        states = [each.state for each in plans]
        rows = [(*_axes(each.job).values(), state) for each, state in zip(plans, states, strict=True)]
        print_table((*_AXES, "state"), rows, settings=len(_AXES))
        echo(f"{sum(not (each.done or each.error) for each in plans)} of {len(plans)} jobs to do")
    return int(any(each.error for each in plans))


_AXES = tuple(axis.name for axis in AXES if axis.name != "perturbation")
"""The columns that tell jobs apart; a perturbation is part of its task's name."""
_HEADER = (*_AXES, "metric", "value", "difference", "95% interval", "size, MB", "generation, s")


def _axes(job: Job) -> dict[str, str]:
    """The values that tell a job from the others; the task's has its perturbation, or is a measurement's kind."""
    point = Point(job.model, job.task or TaskName(""))
    values = {axis.name: axis.value(point) for axis in AXES if axis.name in _AXES}
    return {name: "" if value is None else str(value) for name, value in values.items()} | {"task": job.label}


def _document(attempt: Attempt) -> JsonObject:
    axes = _axes(attempt.job)
    if attempt.error:
        return {"spec": axes, "error": attempt.error}
    if attempt.result is None:
        return {"spec": axes, "file": str(attempt.path)}
    return {"folder": str(attempt.result.folder), **attempt.result.document}


def _row(attempt: Attempt, full: bool) -> tuple[str, ...]:
    """The task's main metric, and what the comparison with the baseline says of it; with `full`, the p by problem."""
    axes = tuple(_axes(attempt.job).values())
    if attempt.result is None:
        said = ("failed", attempt.error) if attempt.error else ("file", str(attempt.path))
        return (*axes, *said, *[""] * (len(_HEADER) - len(axes) - len(said) + full))
    record = attempt.result.record
    metric, compared, tested = record.main_metric, ("", ""), ""
    shown = (metric.name, score(metric.name, record.own_metrics.get(metric.name))) if metric else ("", "n/a")
    if record.baseline:
        name, means = record.baseline.main_metric, record.baseline.main
        bounds = interval(*(points(name, bound).replace(" points", "") for bound in means.ci95))
        compared = (points(name, means.difference), bounds)
        tested = p_value(record.baseline.clustered.p_value)
    stored = record.hosting.storage_bytes
    megabytes = number(None if stored is None else stored / 1e6, ".2f")
    seconds = number(record.timings.generation_s, ".1f")
    return (*axes, *shown, *compared, megabytes, seconds, *([tested] if full else []))
