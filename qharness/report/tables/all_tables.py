"""All tables of a report."""

from __future__ import annotations

from collections.abc import Sequence

from qharness.report.data.collection import Collection
from qharness.report.data.findings import Finding
from qharness.report.tables import breakdowns, giagnorio, pareto_front, run_table, verdict_table, wei
from qharness.report.tables.columns import Table


def all_tables(collection: Collection, findings: Sequence[Finding] = ()) -> list[Table]:
    """The tables that have something to say: verdicts, every run, costs, the papers' tables, levels and failures."""
    parts = (run_table, pareto_front, wei, giagnorio, breakdowns)
    tables = [*verdict_table.tables(findings), *(table for part in parts for table in part.tables(collection))]
    return [table for table in tables if table.says_something]
