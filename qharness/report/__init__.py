"""What the runs at hand say, as one would put it in a paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qharness.report.collection import Collection, read_entries
from qharness.report.entries import Entry
from qharness.report.table import Cell, Column, Table
from qharness.report.tables import all_tables
from qharness.report.writing import make_folder, write_markdown, write_tables

__all__ = ["Cell", "Collection", "Column", "Entry", "Table", "read_entries", "write_report"]

TITLE = "What quantization costs, and what it saves"


def write_report(folders: Sequence[Path], output: Path, title: str = TITLE) -> Collection:
    """Report what runs, profiles and noise these folders hold; returns what was found.

    Raises SamplesError where there is nothing to report or what is there is damaged, QHarnessError for an output
    folder that cannot be written or that holds something else.
    """
    collection = read_entries(folders)
    make_folder(output)
    tables = all_tables(collection)
    write_tables(tables, output)
    write_markdown(collection, tables, output, title)
    return collection
