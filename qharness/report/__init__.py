"""What the runs at hand say, as one would put it in a paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qharness.drawing import require_matplotlib
from qharness.report.collection import Collection, read_entries
from qharness.report.entries import Entry
from qharness.report.figures import draw_figures
from qharness.report.page import page
from qharness.report.table import Cell, Column, Table
from qharness.report.tables import all_tables
from qharness.report.writing import PAGE, make_folder, write_figures, write_markdown, write_tables
from qharness.storage.atomic_writer import write_text

__all__ = ["PAGE", "TITLE", "Cell", "Collection", "Column", "Entry", "Table", "read_entries", "write_report"]

TITLE = "What quantization costs, and what it saves"


def write_report(folders: Sequence[Path], output: Path, title: str = TITLE) -> Collection:
    """Report what runs, profiles and noise these folders hold; returns what was found.

    Raises SamplesError where there is nothing to report or what is there is damaged, QHarnessError for an output
    folder that cannot be written or that holds something else, MissingDependencyError where there is no matplotlib.
    """
    require_matplotlib()
    collection = read_entries(folders)
    with make_folder(output) as folder:
        tables, pictures = all_tables(collection), draw_figures(collection)
        write_tables(tables, folder)
        write_figures(pictures, folder)
        write_markdown(collection, tables, pictures, folder, title)
        write_text(folder / PAGE, page(collection, tables, pictures, title))
    return collection
