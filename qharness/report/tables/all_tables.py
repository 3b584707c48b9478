"""All tables of a report."""

from __future__ import annotations

from qharness.report.data.collection import Collection
from qharness.report.tables import breakdowns, giagnorio, pareto_front, run_table, wei
from qharness.report.tables.table import Table


def all_tables(collection: Collection) -> list[Table]:
    """The tables that the collection has runs for: every run, costs, the papers' tables, levels and failures."""
    parts = (run_table, pareto_front, wei, giagnorio, breakdowns)
    return [table for part in parts for table in part.tables(collection)]
