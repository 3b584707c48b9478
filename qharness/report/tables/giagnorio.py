"""The tables of Giagnorio et al. 2025 for the runs at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from qharness.report.data.collection import Collection
from qharness.report.data.comparisons import Judged, judge
from qharness.report.data.finished_runs import PASS, FinishedRun
from qharness.report.data.selection import FINETUNE, grouped, place, reference, unperturbed, usual
from qharness.report.data.spec_options import quantizer_options, unusual, without
from qharness.report.page.formatting import MARKS, extent, gigabytes, mark, parameters
from qharness.report.tables.pivot import Pivot
from qharness.report.tables.table import NOT_APPLICABLE, Cell, Column, Table, figure, stub
from qharness.stats.adjustment import ComparedBy
from qharness.stats.analyses import relative_decrease

PAPER = "Giagnorio et al. 2025"
_STUBS = (*stub("benchmark", "model", "parameters", "precision"), Column("size", "GB", stub=True))
_ARROWS = {-1: "▼", 0: "=", 1: "▲"}
_Pairs = list[tuple[FinishedRun, FinishedRun | None]]


@dataclass(frozen=True)
class _Form:
    """What one of the tables shows: its number in the paper, what runs are compared with, what is adjusted together."""

    number: int
    title: str
    kind: ComparedBy
    other: str
    adjusted: str
    arrows: bool = False
    decrease: bool = False


_WITHIN = "adjusted within {} (Benjamini-Hochberg)"
_FORMS = (
    _Form(
        4,
        "Quantizers against full precision",
        ComparedBy.PRECISION,
        "full precision",
        _WITHIN.format("model and language"),
    ),
    _Form(
        5,
        "Fine-tuning after quantization",
        ComparedBy.FINETUNE,
        "the quantizer with its usual fine-tuning",
        "not adjusted",
        arrows=True,
    ),
    _Form(
        6,
        "Calibration sets",
        ComparedBy.CALIBRATION,
        "the reference calibration set",
        _WITHIN.format("model, language and quantizer"),
        arrows=True,
    ),
    _Form(
        7,
        "Sizes of models",
        ComparedBy.PRECISION,
        "full precision",
        _WITHIN.format("model and language"),
        decrease=True,
    ),
)


def tables(collection: Collection) -> list[Table]:
    """Those for which there are runs."""
    makers = (_precisions, _finetuned, _calibrated, _of_several_sizes)
    return [t for make, form in zip(makers, _FORMS, strict=True) for t in _tables(collection, form, make(collection))]


def _precisions(collection: Collection) -> _Pairs:
    """Table 4: each quantizer against full precision."""
    return [(entry, None) for entry in usual(collection, unperturbed(collection.largest)) if not entry.full]


def _finetuned(collection: Collection) -> _Pairs:
    """Table 5: quantizers fine-tuned in another way than is usual, against the same as usual."""
    runs = [e for e in unperturbed(collection.largest) if FINETUNE in quantizer_options(e.quant)]
    pairs: _Pairs = []
    for group in grouped(runs, lambda e: (place(e), e.checkpoint, e.calib, without(e.quant, [FINETUNE]))):
        group.sort(key=lambda e: unusual(e.quant, [FINETUNE]))
        pairs += [(entry, group[0]) for entry in group[1:]]
    return pairs


def _calibrated(collection: Collection) -> _Pairs:
    """Table 6: calibration sets against the reference set of the same quantizer."""
    runs = [e for e in unperturbed(collection.largest) if e.calib]
    pairs: _Pairs = []
    for group in grouped(runs, lambda e: (place(e), e.checkpoint, e.quant)):
        first = reference(collection, group)
        pairs += [(entry, first) for entry in group if entry is not first]
    return pairs


def _of_several_sizes(collection: Collection) -> _Pairs:
    """Table 7: quantizers that models of several sizes share, on the calibration set that most models share.

    Where none of a model's quantizers is another's too, all of its own are kept.
    """
    runs = unperturbed(collection.largest)
    if len({collection.parameters(e) for e in runs} - {None}) < 2:
        return []
    sets = {calib: len({e.model for e in runs if e.calib == calib}) for calib in dict.fromkeys(e.calib for e in runs)}
    sets.pop(None, None)
    chosen = max(sets, key=lambda calib: sets[calib], default=None)
    runs = [entry for entry in runs if not entry.full and entry.calib in (None, chosen)]
    models: dict[str, set[str]] = {}
    for entry in runs:
        models.setdefault(entry.checkpoint or entry.quant, set()).add(entry.model)
    shared = [entry for entry in runs if len(models[entry.checkpoint or entry.quant]) > 1]
    sharing = {entry.model for entry in shared}
    return [(entry, None) for entry in runs if entry in shared or entry.model not in sharing]


def _tables(collection: Collection, form: _Form, pairs: _Pairs) -> list[Table]:
    """A row a benchmark, model and precision, a group of columns a language; none where nothing is compared."""
    judged = judge(collection, pairs, form.kind)
    if not judged:
        return []
    compared = list(dict.fromkeys(entry for run, other in pairs for entry in (other, run) if entry))
    full = [baseline for entry in compared if (baseline := collection.baseline_of(entry))]
    shown = sorted(dict.fromkeys([*full, *compared]), key=lambda e: _order(collection, e))
    several = len({entry.calib for entry in shown if entry.calib}) > 1
    pivot, labels = Pivot(_STUBS, sorted({entry.language for entry in shown})), collection.labels
    for entry in shown:
        row = (
            labels.benchmark(entry),
            labels.model(entry),
            parameters(collection.parameters(entry)),
            labels.calibrated(entry) if several else labels.quant(entry),
            gigabytes(entry.storage_bytes),
        )
        for column, cell in _cells(form, entry, judged.get(entry)):
            pivot.put(row, column, cell)
    return pivot.tables(f"giagnorio-{form.number}", form.title, _caption(form, shown))


def _order(collection: Collection, entry: FinishedRun) -> tuple[Any, ...]:
    """Benchmarks and models together, small models first; then full precision and what takes less and less."""
    labels = collection.labels
    return (
        labels.benchmark(entry),
        collection.parameters(entry) or 0,
        labels.model(entry),
        not entry.full,
        -(entry.storage_bytes or 0),
        without(entry.quant, [FINETUNE]),
        unusual(entry.quant, [FINETUNE]),
        entry.quant,
    )


def _cells(form: _Form, entry: FinishedRun, judged: Judged | None) -> Iterator[tuple[Column, Cell]]:
    """The figures of one run, under its language."""
    language = entry.language
    rate = figure(entry.metrics[PASS], ".1f", 100)
    if form.arrows and judged is not None:
        other, own = judged.rates
        sign = (own > other) - (own < other)
        rate = Cell(f"{_ARROWS[sign]} {rate.text}", rate.value)
    yield Column(PASS, "%", language), rate
    tests = {"p": NOT_APPLICABLE, "p by problem": NOT_APPLICABLE, "OR": NOT_APPLICABLE}
    if judged is not None:
        tests = {"p": mark(judged.adjusted), "p by problem": mark(judged.clustered), "OR": figure(judged.odds_ratio)}
    for name, cell in tests.items():
        yield Column(name, "", language), cell
    if form.decrease:
        change = NOT_APPLICABLE if judged is None else figure(relative_decrease(*judged.rates), ".1f")
        yield Column("Dec", "%", language), change


def _caption(form: _Form, entries: Sequence[FinishedRun]) -> str:
    decrease = "Dec: (quantized - full) / full. " if form.decrease else ""
    arrows = " ▲ and ▼: better and worse than that." if form.arrows else ""
    return (
        f"pass@1 in percent; tests against {form.other}.{arrows} p: exact McNemar test on pooled pairs, "
        f"{form.adjusted}; p by problem: paired permutation test with problems as clusters, not adjusted. OR: odds "
        f"ratio b / c, above 1 if {form.other} is better. {decrease}{MARKS} {extent(entries)} "
        f"After table {form.number} of {PAPER}."
    )
