"""Prints a finished run: its figures beside its baseline's, and what they are of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qharness.cli.comparison_text import print_comparison
from qharness.cli.output import echo, number, print_table, size
from qharness.metrics.shown_figures import score_with_error
from qharness.progress import note

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from qharness.results import RunRecord, RunResult


def print_result(result: RunResult, full: bool = False) -> None:
    """Print a run's figures, beside its baseline's where there is one, and their comparison.

    With `full`, also the bytes of the weights in memory.
    """
    from qharness.stats.judged_runs import ComparedRun

    record, baseline = result.record, ComparedRun.of(result).baseline
    folders = [result.folder] if baseline is None else [_baseline_folder(result), result.folder]
    columns = [record] if baseline is None else [baseline, record]
    spec = record.spec
    echo(f"{spec.task}: {spec.with_prompting(spec.model)}")
    errors = [_errors(each, folder) for each, folder in zip(columns, folders, strict=True)]
    rows = [
        *(
            (
                name,
                *(
                    score_with_error(name, each.own_metrics.get(name), error.get(name, math.nan))
                    for each, error in zip(columns, errors, strict=True)
                ),
            )
            for name in record.own_metrics
            if any(math.isfinite(each.own_metrics.get(name, math.nan)) for each in columns)
        ),
        ("size, MB", *(_megabytes(each.hosting.storage_bytes) for each in columns)),
        *([("weights in memory, MB", *(number(each.hosting.megabytes, ".2f") for each in columns))] if full else []),
        *_untouched_rows(columns),
        ("generation, s", *(number(each.timings.generation_s, ".1f") for each in columns)),
    ]
    print_table(("", *headings(columns)), rows)
    if any(math.isfinite(error) for each in errors for error in each.values()):
        echo("±: the standard error, by problem")
    for line in size_lines(record):
        echo(line)
    if any(each.timings.busy for each in columns):
        shares = ", ".join(f"{100 * each.timings.waited:.0f}%" for each in columns)
        echo(f"generation: of a busy machine, so that its seconds say little; waiting for a processor: {shares}")
    if record.baseline:
        print_comparison(record.baseline, full)
    for each in record.notes:
        note(f"note: {each}")
    echo(f"run folder: {result.folder}")


def headings(columns: Sequence[RunRecord]) -> list[str]:
    """What tells runs apart: of one model its quantizers; of several, the models, with the quantizers that they have.

    One model on two backends is told apart by these: a file that runs at its own width is not full precision.
    A run that stands alone and is not quantized is called by its model: that may be a checkpoint that was.
    """
    one_model = len({each.spec.model for each in columns}) == 1
    if one_model and len({each.spec.backend for each in columns}) > 1:
        return [f"by {each.spec.backend}" for each in columns]
    if one_model and len(columns) > 1:
        return ["full precision" if each.spec.quant == "none" else each.spec.quant for each in columns]
    if one_model:
        return [each.spec.model if each.spec.quant == "none" else each.spec.quant for each in columns]
    return [
        each.spec.model if each.spec.quant == "none" else f"{each.spec.model}, {each.spec.quant}" for each in columns
    ]


def size_lines(record: RunRecord) -> list[str]:
    """What sizes are of; of a quantizer that only simulates, what its weights would take."""
    hosting, lines = record.hosting, []
    if hosting.storage_bytes is not None:
        here = f"; in memory here, as {record.machine.dtype}".replace("torch.", "") if record.machine.dtype else ""
        memory = f"{here}, {hosting.megabytes:.2f} MB" if math.isfinite(hosting.megabytes) and here else ""
        lines.append(f"size: the checkpoint on disk, in its own dtype{memory}")
    if hosting.packed_bytes is not None:
        lines.append(simulation_line(record.spec.quant, hosting.storage_bytes, hosting.packed_bytes))
    return lines


def simulation_line(quant: str, stored: int | None, packed: int) -> str:
    """That a quantizer only rounds weights, and what they would take."""
    return f"{quant} simulates: weights are rounded and stored in full width, {size(stored)}; packed: {size(packed)}"


def _errors(record: RunRecord, folder: Path) -> Mapping[str, float]:
    """The standard errors of a run's metrics; none of a group of tasks, or where no completions are kept."""
    from qharness.errors import SamplesError
    from qharness.stats.pairing import read_rows
    from qharness.stats.standard_errors import standard_errors

    try:
        rows = read_rows(folder)
    except SamplesError:
        return {}
    return standard_errors(rows, record.own_metrics) if len({row.task for row in rows}) == 1 else {}


def _baseline_folder(result: RunResult) -> Path:
    from pathlib import Path

    if result.baseline:
        return result.baseline.folder
    assert result.record.baseline
    return Path(result.record.baseline.a)


def _megabytes(count: int | None) -> str:
    return number(None if count is None else count / 1e6, ".2f")


def _untouched_rows(columns: Sequence[RunRecord]) -> list[tuple[str, ...]]:
    """The share of the blocks that stayed in full precision, where it is large."""
    from qharness.results.finished import NOTED_SHARE

    shares = [each.untouched.share if each.untouched else None for each in columns]
    if not any(share is not None and share > NOTED_SHARE for share in shares):
        return []
    return [("left in full precision, %", *("" if share is None else number(100 * share, ".1f") for share in shares))]
