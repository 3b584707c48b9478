"""What the runs at hand say, as one would put it in a paper."""

from qharness.report.collection import Collection, read_entries
from qharness.report.entries import Entry
from qharness.report.table import Cell, Column, Table

__all__ = ["Cell", "Collection", "Column", "Entry", "Table", "read_entries"]
