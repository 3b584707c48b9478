"""What `run --dry-run` prints: the runs with what is done, and an estimate of what the others take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qharness.cli.output import echo, print_json, print_table, size
from qharness.errors import QHarnessError
from qharness.progress import duration
from qharness.storage.json_codec import encode

if TYPE_CHECKING:
    from qharness.specs import RunSpec
    from qharness.study.run_estimate import Estimate, ModelEstimate, RunEstimate
    from qharness.study.sweep import PlannedJob


def print_run_plan(specs: Sequence[RunSpec], json: bool) -> None:
    """Plan runs and those they are compared with, measure, and print both. Raises QHarnessError as the runs would."""
    from qharness.study.jobs import Job
    from qharness.study.run_estimate import estimate
    from qharness.study.sweep import plan, with_baselines

    plans = list(plan([Job(spec) for spec in with_baselines(specs)]))
    for each in plans:
        if each.error:
            raise QHarnessError(each.error)
    found = estimate(plans)
    if json:
        print_json({"runs": [_document(each) for each in plans], "estimate": encode(found)})
        return
    left = sum(not each.done for each in plans)
    echo(f"Dry run, nothing is written: {len(plans) - left} of {len(plans)} runs are done, {left} to do{_sum(found)}.")
    print_table(("quantizer", "task", "state", "folder"), [_plan_row(each) for each in plans])
    if left:
        print_table(
            ("to do", "completions", "at a time", "tokens each", "time", "at most", "programs"),
            [_run_row(each) for each in found.runs],
        )
        print_table(("model", "memory", "as a checkpoint", ""), [_model_row(each) for each in found.models])
        echo(f"Estimated from {found.measured_s:.0f} s of measuring in full precision, loading included. {_LIMITS}")


_LIMITS = (
    "How long quantizing takes, and how much faster or slower the quantized model is, is not in it. A quantized "
    "model that takes ten seconds or more to make is cached, in as many bytes as full precision at most."
)


def _sum(found: Estimate) -> str:
    """The time of all runs, and the most that it may be; nothing where none could be measured."""
    known = [each for each in found.runs if each.seconds is not None]
    if not known:
        return ""
    programs = sum(each.program_seconds or 0.0 for each in known)
    about = programs + sum(each.seconds or 0.0 for each in known)
    most = programs + sum(each.most_seconds or 0.0 for each in known)
    return f", about {duration(about)}" + (f", at most {duration(most)}" if most > 1.2 * about else "")


def _plan_row(plan: PlannedJob) -> tuple[str, ...]:
    quant = plan.run.model.spec.quant if plan.run else ""
    return quant, plan.job.label, plan.state, str(plan.folder)


def _run_row(run: RunEstimate) -> tuple[str, ...]:
    if run.seconds is None or run.most_seconds is None:
        return f"{run.quant} on {run.task}", f"{run.completions:,}", "", "", "not measured", "", ""
    return (
        f"{run.quant} on {run.task}",
        f"{run.completions:,}",
        str(run.at_a_time),
        f"{run.tokens:.0f} of {run.most_tokens}",
        duration(run.seconds),
        duration(run.most_seconds),
        "none" if run.program_seconds is None else duration(run.program_seconds),
    )


def _model_row(model: ModelEstimate) -> tuple[str, ...]:
    remark = "quantized before, and cached" if model.is_cached else ""
    return model.quant, size(model.memory_bytes), size(model.checkpoint_bytes), remark


def _document(plan: PlannedJob) -> dict[str, object]:
    run = plan.run
    return {
        "folder": plan.folder,
        "quant": run.model.spec.quant if run else None,
        "task": plan.job.label,
        "done": plan.done,
        "completions": plan.completions,
        "found": plan.found,
    }
