"""`qharness study`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qharness.cli.options import AllowUnsandboxed, DataDir, Json
from qharness.cli.output import number, print_json, print_table, registry, weights_megabytes
from qharness.progress import note
from qharness.runs import RunSpec

if TYPE_CHECKING:
    from qharness.study.sweep import Attempt


def study(
    file: Annotated[Path, typer.Argument(help="The study, a TOML file.")],
    output: Annotated[Path, typer.Option(help="Folder of run folders.")] = Path("runs"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run, and run nothing.")] = False,
    allow_unsandboxed: AllowUnsandboxed = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> int:
    """Make all runs of a grid: models, quantizers, calibration sets, tasks, perturbations, seeds.

    Started again, it makes only those that are missing. Exit code 1 where a run failed. Where some tasks are
    perturbed, robustness is measured too, and written to a file beside the runs.
    """
    registry()
    from qharness.study.grid import read_study

    specs = read_study(file).specs(output, data_dir, allow_unsandboxed)
    if dry_run:
        return _plan(specs, json)
    from qharness.study.sweep import sweep

    attempts = list(sweep(specs))
    if json:
        print_json([_document(attempt) for attempt in attempts])
    else:
        print_table(_HEADER, [_row(attempt) for attempt in attempts])
    if any("@" in attempt.spec.task for attempt in attempts):
        _measure_robustness(attempts, output / f"robustness-{file.stem}.json", print_tables=not json)
    return int(any(attempt.error for attempt in attempts))


def _measure_robustness(attempts: Sequence[Attempt], path: Path, print_tables: bool) -> None:
    """Write what perturbations cost, and print table VII and the averages of Wei et al. 2023."""
    from qharness.evaluate.bridge import quiet
    from qharness.evaluate.folder import write_json
    from qharness.study.robustness import Robustness

    found = Robustness([(attempt.spec, attempt.result) for attempt in attempts if attempt.result is not None])
    if not found.rows:
        note("no robustness: no perturbed run has a counterpart on the original prompts")
        return
    with quiet():
        write_json(path, found.document())
    if print_tables:
        print_table(
            ("model", "quant", "task", "perturbation", "original", "perturbed", "drop, %", "broken", "mended", *_P),
            [
                (
                    *(row.model, row.quant, row.task, row.perturbation),
                    *(number(each, ".4f") for each in (row.unperturbed, row.perturbed)),
                    number(row.drop_percent, "+.2f"),
                    *(str(len(each)) for each in (row.broken, row.mended)),
                    *(number((row.against_full_precision or {}).get("pass@1", {}).get(p), ".4f") for p in _P.values()),
                )
                for row in found.rows
            ],
        )
        print_table(
            ("quant", "average drop, %", "of"),
            [
                (each["quant"], number(each["drop_percent"], "+.2f"), f"{each['defined']} of {each['of']}")
                for each in found.averages()
            ],
        )
    note(f"robustness, with the problems that flipped: {path}")


_P = {"p, Mann-Whitney": "mann_whitney", "p, Wilcoxon": "wilcoxon"}
"""Of pass@1 on the perturbed prompts against full precision's."""


def _plan(specs: Sequence[RunSpec], json: bool) -> int:
    from qharness.study.sweep import plan

    plans = list(plan(specs))
    if json:
        print_json([{**dataclasses.asdict(each), "spec": _axes(each.spec)} for each in plans])
    else:
        states = [each.error or ("done" if each.done else "to do") for each in plans]
        rows = [(*_axes(each.spec).values(), state) for each, state in zip(plans, states, strict=True)]
        print_table((*_AXES, "state"), rows)
        typer.echo(f"{states.count('to do')} of {len(plans)} runs to do")
    return int(any(each.error for each in plans))


_AXES = ("model", "quant", "calib", "task", "seed")
_HEADER = (*_AXES, "metric", "value", "difference", "95% interval", "p", "weights, MB", "generation, s")


def _axes(spec: RunSpec) -> dict[str, str]:
    return {axis: str(getattr(spec, axis) or "") if axis != "seed" else str(spec.seed) for axis in _AXES}


def _document(attempt: Attempt) -> dict[str, Any]:
    if attempt.result is None:
        return {"spec": _axes(attempt.spec), "error": attempt.error}
    return {"folder": str(attempt.result.folder), **attempt.result.document}


def _row(attempt: Attempt) -> tuple[str, ...]:
    """The task's first metric, and what the comparison with the baseline says of it."""
    axes = tuple(_axes(attempt.spec).values())
    if attempt.result is None:
        return (*axes, "failed", attempt.error, "", "", "", "", "")
    document, metrics = attempt.result.document, attempt.result.metrics
    name, value = next(iter(metrics.items()), ("", None))
    baseline = document.get("baseline")
    compared = ("", "", "")
    if baseline:
        rates = baseline[baseline.get("metric", "pass@1")]
        low, high = rates["ci95"]
        difference = number(rates["difference"], "+.4f")
        compared = (
            difference,
            f"{number(low, '+.4f')} to {number(high, '+.4f')}",
            number(baseline["clustered"]["p_value"], ".4f"),
        )
    megabytes = weights_megabytes(document)
    return (*axes, name, number(value, ".4f"), *compared, megabytes, number(document["timings"]["generation_s"], ".1f"))
