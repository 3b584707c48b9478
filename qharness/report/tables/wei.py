"""The tables of Wei et al. 2023, made from the collected runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from qharness.report.data.collection import Collection
from qharness.report.data.comparisons import difference
from qharness.report.data.finished_runs import FULL, FinishedRun
from qharness.report.data.selection import BITS, grouped, on_reference, unperturbed, usual
from qharness.report.data.spec_options import quantizer_options, without
from qharness.report.tables.columns import Cell, CellColumn, Column, Table, number, number_cell, stub, table_of
from qharness.report.tables.formatting import size_column, sizes_caption
from qharness.report.tables.pivot import Pivot
from qharness.results import CostProfile
from qharness.results.paired_results import PASS_RATE
from qharness.study.study_robustness import Robustness

PAPER = "Wei et al. 2023"
_NOTE = "the difference to full precision, in points, in parentheses"


@dataclass(frozen=True)
class _ModelRow:
    """A row of a quantized model; `precision` is that of table V."""

    model: str
    quantizer: str
    precision: str = ""


_MODEL: CellColumn[_ModelRow] = stub("model", lambda row: row.model)
_QUANTIZER: CellColumn[_ModelRow] = stub("quantizer", lambda row: row.quantizer)
_PRECISION: CellColumn[_ModelRow] = stub("precision", lambda row: row.precision)


def tables(collection: Collection) -> list[Table]:
    """The tables for which there are runs."""
    makers = (hosting, accuracy, precisions, largest_model, robustness, texts)
    return [table for make in makers for table in make(collection)]


def hosting(collection: Collection) -> list[Table]:
    """Table II: the costs of hosting, from profiles. The paper has models as columns; here they are rows."""
    labels = collection.labels
    sets = Counter(quant for quant, _ in {(each.quantizer, each.calibration) for each in collection.profiles})

    def quantizer(profile: CostProfile) -> str:
        quant = labels.quantizer(profile.quantizer)
        return f"{quant} on {profile.calibration}" if sets[profile.quantizer] > 1 else quant

    instance: CellColumn[CostProfile] = stub("instance", lambda profile: profile.instance or "")
    reckoned = any(each.instance for each in collection.profiles)
    columns: list[CellColumn[CostProfile]] = [
        stub("model", lambda profile: labels.model_name(profile.model)),
        stub("quantizer", quantizer),
        stub("device", lambda profile: profile.device),
        stub("dtype", lambda profile: profile.dtype),
        stub("tokens", lambda profile: f"{profile.prompt_tokens} + {profile.new_tokens}"),
        *([instance] if reckoned else []),
        number("latency", "s", lambda profile: profile.latency_s.median, ".3g"),
        size_column("storage", collection.profiles, lambda profile: profile.storage_bytes),
        size_column("memory", collection.profiles, lambda profile: profile.resident_bytes),
    ]
    if reckoned:
        columns.append(number("1,000 predictions", "$", lambda profile: profile.usd_per_1k, ".3g"))
    if any(each.gco2eq_per_1k is not None for each in collection.profiles):
        columns.append(number("1,000 predictions, CO2", "g", lambda profile: profile.gco2eq_per_1k, ".4g"))
    profiles = sorted(collection.profiles, key=lambda each: (labels.model_name(each.model), each.quantizer != FULL))
    caption = (
        "Median latency of one prediction at batch 1, of so many tokens of prompt + generated; memory: of the weights; "
        f"{'dollars: of the instance. ' if reckoned else ''}After table II of {PAPER}, turned round."
    )
    return table_of("wei-2", "What hosting takes", caption, columns, profiles)


def accuracy(collection: Collection) -> list[Table]:
    """Table IV: pass@k in full precision and of each quantizer."""
    runs = usual(collection, unperturbed(collection.largest))
    pivot = _by_quantizer(collection, runs, _pass_metrics(runs), 100)
    caption = f"pass@k in percent, {_NOTE}. {sizes_caption(runs)} After table IV of {PAPER}."
    return pivot.tables("wei-4", "pass@k of quantized models", caption) if _any_quantized(runs) else []


def texts(collection: Collection) -> list[Table]:
    """Table IX: the score of texts in full precision and of each quantizer."""
    of_texts = (run for run in collection.largest if run.metrics and not run.languages and not run.perturbation)
    runs = usual(collection, of_texts)
    metrics = list(dict.fromkeys(run.metric for run in runs))
    pivot = _by_quantizer(collection, runs, metrics, 1)
    caption = f"{', '.join(metrics)}, {_NOTE}. {sizes_caption(runs)} After table IX of {PAPER}."
    return pivot.tables("wei-9", "Scores of texts", caption) if _any_quantized(runs) else []


def _pass_metrics(runs: Iterable[FinishedRun]) -> list[str]:
    """The metrics pass@k that are defined in any of these runs, by k; pass@1 always."""
    defined = {name for run in runs for name, value in run.metrics.items() if not math.isnan(value)}
    names = {name for name in defined if name.startswith("pass@")} | {PASS_RATE}
    return sorted(names, key=lambda name: int(name.partition("@")[2]))


def _tasks(runs: Iterable[FinishedRun]) -> list[str]:
    return sorted({run.task for run in runs})


def _any_quantized(runs: Iterable[FinishedRun]) -> bool:
    return not all(run.full for run in runs)


def _by_quantizer(
    collection: Collection, runs: Sequence[FinishedRun], metrics: Sequence[str], scale: float
) -> Pivot[FinishedRun]:
    """A row for each task and model, a group of columns for each quantizer, full precision first."""
    labels = collection.labels
    pivot: Pivot[FinishedRun] = Pivot([stub("task", lambda run: run.task), stub("model", labels.model)])
    by_row = sorted(runs, key=lambda run: (run.task, collection.parameters(run) or 0, labels.model(run)))
    for run in sorted(by_row, key=collection.by_size):
        for metric in metrics:
            if metric in run.metrics:
                column = Column(metric, "%" if scale != 1 else "", labels.quant(run))
                pivot.put(run, column, _score(collection, run, metric, scale))
    return pivot


def _score(collection: Collection, run: FinishedRun, metric: str, scale: float = 100) -> Cell:
    """A metric, and its difference to full precision's."""
    return number_cell(run.metrics.get(metric), ".2f", scale, difference(collection, run, metric))


def precisions(collection: Collection) -> list[Table]:
    """Table V: bits of weights and of activations, of quantizers that have both options."""
    on = on_reference(collection, unperturbed(collection.largest))
    runs = [run for run in on if set(BITS) <= quantizer_options(run.quant).keys()]
    labels, metrics = collection.labels, _pass_metrics(runs)
    pivot, shown = Pivot([_MODEL, _QUANTIZER, _PRECISION], _tasks(runs)), []
    for group in grouped(runs, lambda run: (labels.model(run), run.checkpoint, without(run.quant, BITS))):
        bits = {run: _bits(run) for run in group}
        if len(set(bits.values())) < 2:
            continue
        group.sort(key=lambda run: (-sum(bits[run]), bits[run]))
        quantizer = labels.quant(group[0])
        full = dict.fromkeys(baseline for run in group if (baseline := collection.baseline_of(run)))
        for run in (*full, *group):
            precision = "full precision" if run.full else "W{}A{}".format(*bits[run])
            for metric in metrics:
                row, column = _ModelRow(labels.model(run), quantizer, precision), Column(metric, "%", run.task)
                pivot.put(row, column, _score(collection, run, metric))
            shown.append(run)
    caption = (
        f"WxAy: x bits a weight, y bits an activation. pass@k in percent, {_NOTE}. {sizes_caption(shown)} "
        f"After table V of {PAPER}."
    )
    return pivot.tables("wei-5", "Bits of weights and of activations", caption)


def _bits(run: FinishedRun) -> tuple[int, int]:
    """Bits of a weight and of an activation."""
    weight, activation = (int(str(quantizer_options(run.quant)[name])) for name in BITS)
    return weight, activation


def largest_model(collection: Collection) -> list[Table]:
    """Table VI: each quantizer on the largest of several models."""
    labels, candidates = collection.labels, usual(collection, unperturbed(collection.largest))
    sizes = {run: collection.parameters(run) or 0 for run in candidates}
    most = max(sizes.values(), default=0)
    runs = [run for run in candidates if sizes[run] == most]
    if not _any_quantized(runs) or most == 0 or len({run.model for run in candidates}) == 1:
        return []
    pivot = Pivot([stub("model", labels.model), stub("quantizer", labels.quant)], _tasks(runs))
    metrics = _pass_metrics(runs)
    for run in sorted(runs, key=lambda run: (labels.model(run), *collection.by_size(run))):
        for metric in metrics:
            pivot.put(run, Column(metric, "%", run.task), _score(collection, run, metric))
    caption = f"pass@k in percent, {_NOTE}. {sizes_caption(runs)} After table VI of {PAPER}."
    return pivot.tables("wei-6", "The largest model", caption)


def robustness(collection: Collection) -> list[Table]:
    """Table VII: the drop in pass@1 on perturbed prompts, and its mean for each quantizer."""
    runs = {run.folder: run for run in collection.largest if run.counts_passes}
    measured = Robustness([(run.spec, run.result) for run in runs.values()])
    drops = {runs[folder]: row.drop_percent for folder, row in zip(measured.folders, measured.rows, strict=True)}
    labels, mean = collection.labels, Column("mean", "%", "all settings")
    quantizer = labels.calibrated if len({run.calib for run in drops if run.calib}) > 1 else labels.quant
    pivot = Pivot([_MODEL, _QUANTIZER], _tasks(drops))
    of_row: dict[_ModelRow, list[float]] = {}
    for group in grouped(drops, labels.model):
        for run in sorted(group, key=collection.by_size):
            others = [drops[each] for each in group if each.spec.task == run.spec.task and math.isfinite(drops[each])]
            least = len(others) > 1 and drops[run] == min(others)
            row = _ModelRow(labels.model(run), quantizer(run))
            pivot.put(row, Column(run.perturbation, "%", run.task), number_cell(drops[run], ".2f", emphasis=least))
            of_row.setdefault(row, []).extend([drops[run]] if math.isfinite(drops[run]) else [])
    for row, defined in of_row.items():
        pivot.put(row, mean, number_cell(fmean(defined) if defined else math.nan))
    averages = {(each.quant, each.calib): each.drop_percent for each in measured.averages()}
    quantizers = {(run.quant, run.calib): run for run in drops}
    for key, run in sorted(quantizers.items(), key=lambda item: collection.by_size(item[1])):
        pivot.put(_ModelRow("all models", quantizer(run)), mean, number_cell(averages[key]))
    caption = (
        "Drop in pass@1 from the prompts as they are to the perturbed ones, in percent of the former: the lower, the "
        "more robust. Bold: the least of each model and setting. Means are of the drops that are defined. "
        f"{sizes_caption(drops)} After table VII of {PAPER}."
    )
    return pivot.tables("wei-7", "What perturbed prompts cost", caption)
