"""The tables of Wei et al. 2023 for the runs at hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean

from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FULL, FinishedRun
from qharness.report.data.selection import BITS, grouped, on_reference, unperturbed, usual
from qharness.report.data.spec_options import quantizer_options, without
from qharness.report.page.formatting import extent, gigabytes, passing
from qharness.report.tables.pivot import Pivot
from qharness.report.tables.table import Cell, Column, Table, figure, stub
from qharness.results import RunResult
from qharness.study.study_robustness import Robustness

PAPER = "Wei et al. 2023"
_MEAN = Column("mean", "%", "all settings")
_COST = "the difference to full precision, in points, in parentheses"


def tables(collection: Collection) -> list[Table]:
    """Those for which there are runs."""
    makers = (hosting, accuracy, precisions, largest_model, robustness, texts)
    return [table for make in makers for table in make(collection)]


def hosting(collection: Collection) -> list[Table]:
    """Table II: what hosting takes, from profiles. Models are rows here, and metrics columns."""
    labels, pivot = collection.labels, Pivot(stub("model", "quantizer", "device", "dtype", "tokens", "instance"))
    sets = {(d["quantizer"], d["calibration"]) for d in collection.profiles}
    several = {quant for quant, _ in sets if sum(quant == other for other, _ in sets) > 1}
    for document in sorted(collection.profiles, key=lambda d: (labels.short(d["model"]), d["quantizer"] != FULL)):
        on = f" on {document['calibration']}" if document["quantizer"] in several else ""
        row = (
            labels.short(document["model"]),
            labels.quantizer(document["quantizer"]) + on,
            document["device"],
            document["dtype"],
            f"{document['prompt_tokens']} + {document['new_tokens']}",
            document["instance"],
        )
        pivot.put(row, Column("latency", "s"), figure(document["latency_s"]["median"], ".3g"))
        pivot.put(row, Column("storage", "GB"), gigabytes(document["storage_bytes"]))
        pivot.put(row, Column("memory", "GB"), gigabytes(document["resident_bytes"]))
        pivot.put(row, Column("1,000 predictions", "$"), figure(document["usd_per_1k"], ".3g"))
        pivot.put(row, Column("1,000 predictions, CO2", "g"), figure(document["gco2eq_per_1k"], ".4g"))
    caption = (
        "Median latency of one prediction at batch 1, of so many tokens of prompt + generated; memory: of the weights; "
        f"dollars: of the instance. After table II of {PAPER}, turned round."
    )
    return pivot.tables("wei-2", "What hosting takes", caption)


def accuracy(collection: Collection) -> list[Table]:
    """Table IV: pass@k in full precision and of each quantizer."""
    entries = usual(collection, unperturbed(collection.largest))
    pivot = _by_quantizer(collection, entries, passing(entries), 100)
    caption = f"pass@k in percent, {_COST}. {extent(entries)} After table IV of {PAPER}."
    return pivot.tables("wei-4", "pass@k of quantized models", caption) if _quantized(entries) else []


def texts(collection: Collection) -> list[Table]:
    """Table IX: the score of texts in full precision and of each quantizer."""
    entries = usual(collection, (e for e in collection.largest if e.metrics and not e.languages and not e.perturbation))
    metrics = list(dict.fromkeys(next(iter(entry.metrics)) for entry in entries))
    pivot = _by_quantizer(collection, entries, metrics, 1)
    caption = f"{', '.join(metrics)}, {_COST}. {extent(entries)} After table IX of {PAPER}."
    return pivot.tables("wei-9", "Scores of texts", caption) if _quantized(entries) else []


def _tasks(entries: Iterable[FinishedRun]) -> list[str]:
    return sorted({entry.task for entry in entries})


def _quantized(entries: Iterable[FinishedRun]) -> bool:
    return not all(entry.full for entry in entries)


def _by_quantizer(
    collection: Collection, entries: Sequence[FinishedRun], metrics: Sequence[str], scale: float
) -> Pivot:
    """A row a task and model, a group of columns a quantizer, full precision first."""
    pivot = Pivot(stub("task", "model"))
    labels = collection.labels
    by_row = sorted(entries, key=lambda e: (e.task, collection.parameters(e) or 0, labels.model(e)))
    for entry in sorted(by_row, key=collection.by_size):
        for metric in metrics:
            if metric in entry.metrics:
                column = Column(metric, "%" if scale != 1 else "", labels.quant(entry))
                pivot.put((entry.task, labels.model(entry)), column, _score(collection, entry, metric, scale))
    return pivot


def _score(collection: Collection, entry: FinishedRun, metric: str, scale: float = 100) -> Cell:
    """A metric, and its difference to full precision's."""
    return figure(entry.metrics.get(metric), ".2f", scale, _difference(collection, entry, metric))


def _difference(collection: Collection, entry: FinishedRun, metric: str) -> float | None:
    """To full precision, whose run may be elsewhere; None where there is nothing to compare with."""
    baseline = collection.baseline_of(entry)
    if baseline is not None:
        return entry.metrics.get(metric, math.nan) - baseline.metrics.get(metric, math.nan)
    compared = (entry.document.get("baseline") or {}).get(metric)
    return None if compared is None else float(compared["difference"])


def precisions(collection: Collection) -> list[Table]:
    """Table V: bits of weights and of activations, of quantizers that have both options."""
    runs = [
        e
        for e in on_reference(collection, unperturbed(collection.largest))
        if set(BITS) <= set(quantizer_options(e.quant))
    ]
    labels = collection.labels
    pivot, shown = Pivot(stub("model", "quantizer", "precision"), _tasks(runs)), []
    metrics = passing(runs)
    key = lambda e: (labels.model(e), e.checkpoint, without(e.quant, BITS))  # noqa: E731
    for group in grouped(runs, key):
        by_bits = {entry: _bits(entry) for entry in group}
        if len(set(by_bits.values())) < 2:
            continue
        group.sort(key=lambda e: (-sum(by_bits[e]), by_bits[e]))
        name = labels.quant(group[0])
        full = [baseline for entry in group if (baseline := collection.baseline_of(entry))]
        for entry in (*dict.fromkeys(full), *group):
            precision = "full precision" if entry.full else "W{}A{}".format(*by_bits[entry])
            for metric in metrics:
                column = Column(metric, "%", entry.task)
                pivot.put((labels.model(entry), name, precision), column, _score(collection, entry, metric))
            shown.append(entry)
    caption = (
        f"WxAy: x bits a weight, y bits an activation. pass@k in percent, {_COST}. {extent(shown)} "
        f"After table V of {PAPER}."
    )
    return pivot.tables("wei-5", "Bits of weights and of activations", caption)


def _bits(entry: FinishedRun) -> tuple[int, int]:
    values = quantizer_options(entry.quant)
    return int(values[BITS[0]]), int(values[BITS[1]])


def largest_model(collection: Collection) -> list[Table]:
    """Table VI: each quantizer on the largest model."""
    entries = usual(collection, unperturbed(collection.largest))
    sizes = {entry: collection.parameters(entry) or 0 for entry in entries}
    most = max(sizes.values(), default=0)
    chosen = [entry for entry in entries if sizes[entry] == most]
    if not _quantized(chosen) or (most == 0 and len({entry.model for entry in entries}) > 1):
        return []
    pivot, metrics = Pivot(stub("model", "quantizer"), _tasks(chosen)), passing(chosen)
    for entry in sorted(chosen, key=lambda e: (collection.labels.model(e), *collection.by_size(e))):
        for metric in metrics:
            row = (collection.labels.model(entry), collection.labels.quant(entry))
            pivot.put(row, Column(metric, "%", entry.task), _score(collection, entry, metric))
    caption = f"pass@k in percent, {_COST}. {extent(chosen)} After table VI of {PAPER}."
    return pivot.tables("wei-6", "The largest model", caption)


def robustness(collection: Collection) -> list[Table]:
    """Table VII: what perturbed prompts cost, and each quantizer's average."""
    runs = {entry.folder: entry for entry in collection.largest if entry.counts_passes}
    found = Robustness([(e.spec, RunResult(e.folder, e.document)) for e in runs.values()])
    drops = {runs[folder]: row.drop_percent for folder, row in zip(found.folders, found.rows, strict=True)}
    labels, pivot = collection.labels, Pivot(stub("model", "quantizer"), _tasks(drops))
    name = labels.calibrated if len({entry.calib for entry in drops if entry.calib}) > 1 else labels.quant
    own: dict[tuple[str, str], list[float]] = {}
    for group in grouped(drops, labels.model):
        for entry in sorted(group, key=collection.by_size):
            others = [drops[e] for e in group if e.spec.task == entry.spec.task and math.isfinite(drops[e])]
            least = len(others) > 1 and drops[entry] == min(others)
            row, column = (labels.model(entry), name(entry)), Column(entry.perturbation, "%", entry.task)
            pivot.put(row, column, figure(drops[entry], ".2f", emphasis=least))
            own.setdefault(row, []).extend([drops[entry]] if math.isfinite(drops[entry]) else [])
    for row, defined in own.items():
        pivot.put(row, _MEAN, figure(fmean(defined) if defined else math.nan, ".2f"))
    averages = {(each["quant"], each["calib"]): each["drop_percent"] for each in found.averages()}
    quantizers = {(entry.quant, entry.calib): entry for entry in drops}
    for (quant, calib), entry in sorted(quantizers.items(), key=lambda item: collection.by_size(item[1])):
        pivot.put(("all models", name(entry)), _MEAN, figure(averages[quant, calib], ".2f"))
    caption = (
        "Drop in pass@1 from the prompts as they are to the perturbed ones, in percent of the former: the lower, the "
        "more robust. Bold: the least of each model and setting. Means are of the drops that are defined. "
        f"{extent(drops)} After table VII of {PAPER}."
    )
    return pivot.tables("wei-7", "What perturbed prompts cost", caption)
