"""Reports of finished runs: the tables and figures of a paper, and a page to read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qharness.figure_style import require_matplotlib
from qharness.report.data.collection import Collection, read_collection
from qharness.report.data.findings import Finding, findings
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.figures.all_figures import draw_figures
from qharness.report.page.html_page import page
from qharness.report.page.report_output import PAGE, make_folder, write_figures, write_markdown, write_tables
from qharness.report.tables.all_tables import all_tables
from qharness.report.tables.columns import Cell, Column, Table
from qharness.specs import MaxLoss
from qharness.storage.atomic_writer import write_text

__all__ = [
    "PAGE",
    "TITLE",
    "Cell",
    "Collection",
    "Column",
    "Finding",
    "FinishedRun",
    "Table",
    "read_collection",
    "write_report",
]

TITLE = "What quantization costs, and what it saves"
_MARGIN = MaxLoss()


def write_report(
    folders: Sequence[Path], output: Path, title: str = TITLE, max_loss: MaxLoss = _MARGIN
) -> tuple[Collection, list[Finding]]:
    """Write a report of the runs, profiles and noise reports in these folders; returns what they hold, and findings.

    `max_loss`: the loss of pass@1 that can be borne, the margin of the verdicts.
    Raises SamplesError where there is nothing to report or a file is damaged, QHarnessError for an output folder that
    cannot be written or holds something else, MissingDependencyError where there is no matplotlib.
    """
    require_matplotlib()
    collection = read_collection(folders)
    with make_folder(output) as folder:
        found = findings(collection, max_loss)
        tables, figures = all_tables(collection, found), draw_figures(collection, found)
        write_tables(tables, folder)
        write_figures(figures, folder)
        write_markdown(collection, found, tables, figures, folder, title)
        write_text(folder / PAGE, page(collection, found, tables, figures, title))
    return collection, found
