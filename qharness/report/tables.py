"""All tables of a report: every run, then each paper's tables, then what stands behind the figures."""

from __future__ import annotations

from qharness.report import breakdowns, giagnorio, grid, wei
from qharness.report.collection import Collection
from qharness.report.table import Table


def all_tables(collection: Collection) -> list[Table]:
    """Those for which there are runs."""
    return [table for part in (grid, wei, giagnorio, breakdowns) for table in part.tables(collection)]
