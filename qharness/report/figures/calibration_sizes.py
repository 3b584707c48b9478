"""pass@1 by how many sequences a quantizer was calibrated on: figure 7 of Wei et al. 2023."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qharness.figure_style import COLOURS, LINES, finished, panels, plain, styles
from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import PASS, FinishedRun
from qharness.report.data.spec_options import calibration_options
from qharness.report.figures.pictures import Picture, by_task, slug
from qharness.report.page.formatting import extent, problems
from qharness.spec import parse

_SIZE = "n"


def pictures(collection: Collection) -> list[Picture]:
    """A figure a task whose runs are calibrated on sets that differ in nothing but how many sequences they hold."""
    made = []
    for task, entries in by_task(collection).items():
        series = _series(collection, entries)
        if not series:
            continue
        figure, (axes,) = panels(1)
        for (name, style), runs in zip(styles(list(series)).items(), series.values(), strict=True):
            points = sorted((n, 100 * entry.metrics[PASS]) for n, entry in runs)
            axes.plot(*zip(*points, strict=True), **style.line, label=plain(name))
        whole = _full_precision(collection, [entry for runs in series.values() for _, entry in runs])
        for number, (name, entry) in enumerate(whole.items()):
            look: dict[str, Any] = {"color": COLOURS[-1 - number % len(COLOURS)], "linestyle": LINES[2 + number % 4]}
            axes.axhline(100 * entry.metrics[PASS], **look, label=plain(f"{name}, full precision"))
        axes.set(xlabel="calibration sequences (count)", ylabel=f"{PASS} (%, {problems(entries)})", title=plain(task))
        caption = (
            "Runs that differ in nothing but how many sequences they were calibrated on; without markers, full "
            f"precision. {extent(entries)} After figure 7 of Wei et al. 2023."
        )
        title = f"{task}: pass@1 by calibration sequences"
        made.append(Picture(f"calibration-{slug(task)}", title, caption, finished(figure, [axes])))
    return made


def _series(collection: Collection, entries: Sequence[FinishedRun]) -> dict[str, list[tuple[int, FinishedRun]]]:
    """(sequences, run) by what else they are of; those of one size only are left out."""
    found: dict[str, list[tuple[int, FinishedRun]]] = {}
    for entry in entries:
        if entry.calib is None:
            continue
        options = calibration_options(entry.calib)
        if isinstance(size := options.pop(_SIZE, None), int):
            kept = ", ".join(f"{name}={value}" for name, value in options.items() if value not in (None, ""))
            on = f"{parse(entry.calib).name} ({kept})" if kept else parse(entry.calib).name
            name = f"{collection.labels.model(entry)}, {collection.labels.quant(entry)} on {on}"
            found.setdefault(name, []).append((size, entry))
    return {name: runs for name, runs in found.items() if len({size for size, _ in runs}) > 1}


def _full_precision(collection: Collection, runs: Sequence[FinishedRun]) -> dict[str, FinishedRun]:
    baselines = {id(b): b for run in runs if (b := collection.baseline_of(run)) is not None}
    return {collection.labels.model(entry): entry for entry in baselines.values()}
