"""All tables of a report: every run, who is worth the cost, the papers' tables, what stands behind the figures."""

from __future__ import annotations

from qharness.report.data.collection import Collection
from qharness.report.figures import pareto
from qharness.report.tables import breakdowns, giagnorio, run_table, wei
from qharness.report.tables.table import Table


def all_tables(collection: Collection) -> list[Table]:
    """Those for which there are runs."""
    return [table for part in (run_table, pareto, wei, giagnorio, breakdowns) for table in part.tables(collection)]
