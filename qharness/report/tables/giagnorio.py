"""The tables of Giagnorio et al. 2025, made from the collected runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from qharness.report.data.collection import Collection
from qharness.report.data.comparisons import AdjustedComparison, Pair, compare_runs
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.data.labels import FULL_PRECISION
from qharness.report.data.selection import FINETUNE, grouped, reference, unperturbed, usual
from qharness.report.data.spec_options import count_unusual, quantizer_options, without
from qharness.report.tables.columns import NOT_APPLICABLE, Cell, CellColumn, Table, number_cell, stub
from qharness.report.tables.formatting import MARKS, parameters_cell, significance_cell, size_column, sizes_caption
from qharness.report.tables.pivot import Pivot
from qharness.results.paired_results import PASS_RATE
from qharness.stats.adjustment import ComparedBy
from qharness.stats.analyses import relative_decrease

PAPER = "Giagnorio et al. 2025"
_ARROWS = {-1: "▼", 0: "=", 1: "▲"}


@dataclass(frozen=True)
class _PaperTable:
    """One of the paper's tables: its number, the pairs of runs it compares, and which p-values are adjusted together.

    `other` names what runs are compared with. `arrows`: show which of the two is better. `decrease`: show the relative
    decrease.
    """

    number: int
    title: str
    pairs: Callable[[Collection], list[Pair]]
    kind: ComparedBy
    other: str
    adjusted: str
    arrows: bool = False
    decrease: bool = False


def tables(collection: Collection) -> list[Table]:
    """The tables for which there are runs."""
    return [table for paper_table in _PAPER_TABLES for table in _tables(collection, paper_table)]


def _precisions(collection: Collection) -> list[Pair]:
    """Table 4: each quantizer against full precision."""
    return [(run, None) for run in usual(collection, unperturbed(collection.largest)) if not run.full]


def _finetuned(collection: Collection) -> list[Pair]:
    """Table 5: quantizers with another fine-tuning than the usual one, against the same quantizer with that."""
    runs = [run for run in unperturbed(collection.largest) if FINETUNE in quantizer_options(run.quant)]
    pairs: list[Pair] = []
    for group in grouped(runs, lambda run: (run.setup, run.checkpoint, run.calib, without(run.quant, [FINETUNE]))):
        group.sort(key=lambda run: count_unusual(run.quant, [FINETUNE]))
        pairs += [(run, group[0]) for run in group[1:]]
    return pairs


def _calibrated(collection: Collection) -> list[Pair]:
    """Table 6: calibration sets against the reference set of the same quantizer."""
    runs = [run for run in unperturbed(collection.largest) if run.calib]
    pairs: list[Pair] = []
    for group in grouped(runs, lambda run: (run.setup, run.checkpoint, run.quant)):
        first = reference(collection, group)
        pairs += [(run, first) for run in group if run is not first]
    return pairs


def _of_several_sizes(collection: Collection) -> list[Pair]:
    """Table 7: quantizers that models of several sizes share, on the calibration set that most models share.

    Of a model that shares none of its quantizers, all are taken.
    """
    runs = unperturbed(collection.largest)
    if len({collection.parameters(run) for run in runs} - {None}) < 2:
        return []
    models_of_set: dict[str, set[str]] = {}
    for run in runs:
        if run.calib is not None:
            models_of_set.setdefault(run.calib, set()).add(run.model)
    calib = max(models_of_set, key=lambda each: len(models_of_set[each]), default=None)
    runs = [run for run in runs if not run.full and run.calib in (None, calib)]
    models: dict[str, set[str]] = {}
    for run in runs:
        models.setdefault(run.checkpoint or run.quant, set()).add(run.model)
    shared = [run for run in runs if len(models[run.checkpoint or run.quant]) > 1]
    sharing = {run.model for run in shared}
    return [(run, None) for run in runs if run in shared or run.model not in sharing]


_WITHIN = "adjusted within model and language (Benjamini-Hochberg)"
_WITHIN_QUANTIZER = "adjusted within model, language and quantizer (Benjamini-Hochberg)"
_USUAL, _REFERENCE = "the quantizer with its usual fine-tuning", "the reference calibration set"
_PAPER_TABLES = (
    _PaperTable(4, "Quantizers against full precision", _precisions, ComparedBy.PRECISION, FULL_PRECISION, _WITHIN),
    _PaperTable(
        5, "Fine-tuning after quantization", _finetuned, ComparedBy.FINETUNE, _USUAL, "not adjusted", arrows=True
    ),
    _PaperTable(6, "Calibration sets", _calibrated, ComparedBy.CALIBRATION, _REFERENCE, _WITHIN_QUANTIZER, arrows=True),
    _PaperTable(7, "Sizes of models", _of_several_sizes, ComparedBy.PRECISION, FULL_PRECISION, _WITHIN, decrease=True),
)


def _tables(collection: Collection, paper_table: _PaperTable) -> list[Table]:
    """A row for each benchmark, model and precision, a group of columns for each language; none without comparisons."""
    pairs, labels = paper_table.pairs(collection), collection.labels
    comparisons = compare_runs(collection, pairs, paper_table.kind)
    if not comparisons:
        return []
    compared = dict.fromkeys(run for first, second in pairs for run in (second, first) if run)
    full = [baseline for run in compared if (baseline := collection.baseline_of(run))]
    runs = _ordered(collection, dict.fromkeys([*full, *compared]))
    several = len({run.calib for run in runs if run.calib}) > 1
    stubs: list[CellColumn[FinishedRun]] = [
        stub("benchmark", labels.benchmark),
        stub("model", labels.model),
        stub("parameters", lambda run: parameters_cell(collection.parameters(run))),
        stub("precision", labels.calibrated if several else labels.quant),
        size_column("size", runs, lambda run: run.storage_bytes, stub=True),
    ]
    pivot, columns = Pivot(stubs, sorted({run.language for run in runs})), _columns(paper_table, comparisons)
    for run in runs:
        for column in columns:
            pivot.put(run, dataclasses.replace(column, group=run.language), column.cell_of(run))
    return pivot.tables(f"giagnorio-{paper_table.number}", paper_table.title, _caption(paper_table, runs))


def _ordered(collection: Collection, runs: Iterable[FinishedRun]) -> list[FinishedRun]:
    """Benchmarks and models together, small models first; within a model full precision, then large checkpoints."""
    labels = collection.labels
    return sorted(
        runs,
        key=lambda run: (
            labels.benchmark(run),
            collection.parameters(run) or 0,
            labels.model(run),
            not run.full,
            -(run.storage_bytes or 0),
            without(run.quant, [FINETUNE]),
            count_unusual(run.quant, [FINETUNE]),
            run.quant,
        ),
    )


def _columns(
    table: _PaperTable, comparisons: Mapping[FinishedRun, AdjustedComparison]
) -> list[CellColumn[FinishedRun]]:
    """The columns of each language."""

    def rate(run: FinishedRun) -> Cell:
        cell = number_cell(run.metrics[PASS_RATE], ".1f", 100)
        if not table.arrows or run not in comparisons:
            return cell
        means = comparisons[run].comparison.main
        return dataclasses.replace(cell, text=f"{_ARROWS[(means.b > means.a) - (means.b < means.a)]} {cell.text}")

    def test(name: str, unit: str, cell: Callable[[AdjustedComparison], Cell]) -> CellColumn[FinishedRun]:
        """A column of the comparisons; a dash where a run is compared with nothing."""
        return CellColumn(name, unit, cell=lambda run: cell(comparisons[run]) if run in comparisons else NOT_APPLICABLE)

    def decrease(compared: AdjustedComparison) -> Cell:
        return number_cell(relative_decrease(compared.comparison.main.a, compared.comparison.main.b), ".1f")

    return [
        CellColumn(PASS_RATE, "%", cell=rate),
        test("p", "", lambda each: significance_cell(each.adjusted)),
        test("p by problem", "", lambda each: significance_cell(each.comparison.clustered.p_value)),
        test("OR", "", lambda each: number_cell(each.test.odds_ratio)),
        *([test("Dec", "%", decrease)] if table.decrease else []),
    ]


def _caption(table: _PaperTable, runs: Sequence[FinishedRun]) -> str:
    decrease = "Dec: (quantized - full) / full. " if table.decrease else ""
    arrows = " ▲ and ▼: better and worse than that." if table.arrows else ""
    return (
        f"pass@1 in percent; tests against {table.other}.{arrows} p: exact McNemar test on pooled pairs, "
        f"{table.adjusted}; p by problem: paired permutation test with problems as clusters, not adjusted. OR: odds "
        f"ratio b / c, above 1 if {table.other} is better. {decrease}{MARKS} {sizes_caption(runs)} "
        f"After table {table.number} of {PAPER}."
    )
