"""Writes the files of a report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from qharness.errors import QHarnessError
from qharness.report.data.collection import Collection
from qharness.report.data.findings import Finding
from qharness.report.figures.report_figure import ReportFigure
from qharness.report.tables.columns import Table
from qharness.report.tables.formatting import plural
from qharness.report.tables.table_formats import markdown_text, to_csv, to_latex, to_markdown
from qharness.storage.atomic_writer import write_bytes, write_text
from qharness.storage.whole_folder import entries, renewed_folder

REPORT, TABLES, FIGURES, PAGE = "report.md", "tables", "figures", "index.html"
_WRITERS = {".md": to_markdown, ".csv": to_csv, ".tex": to_latex}
_OURS = {*((TABLES, suffix) for suffix in _WRITERS), *((FIGURES, suffix) for suffix in (".svg", ".png", ".pdf"))}


def make_folder(output: Path) -> AbstractContextManager[Path]:
    """A context with a new folder to write a report in; at its end the folder replaces `output`.

    Raises QHarnessError where `output` holds something else than a report.
    """
    if output.exists() and not output.is_dir():
        raise QHarnessError(f"--output {output} cannot be written: it is no folder")
    if output.is_dir() and not (output / REPORT).is_file() and not _empty(output):
        raise QHarnessError(f"--output {output} holds something else than a report: name a new folder")
    return renewed_folder(output, lambda path: (path.parent.name, path.suffix) in _OURS)


def _empty(output: Path) -> bool:
    """Whether a folder holds no files at any depth, apart from what killed processes left."""
    return all(each.is_dir() and not each.is_symlink() and _empty(each) for each in entries(output))


def write_tables(tables: Sequence[Table], output: Path) -> None:
    """Write each table in each format."""
    (output / TABLES).mkdir()
    for table in tables:
        for suffix, writer in _WRITERS.items():
            write_text(output / TABLES / f"{table.key}{suffix}", writer(table))


def write_figures(figures: Sequence[ReportFigure], output: Path) -> None:
    """Write each figure as SVG, PNG and PDF."""
    (output / FIGURES).mkdir()
    for figure in figures:
        write_text(output / FIGURES / f"{figure.key}.svg", figure.svg)
        write_bytes(output / FIGURES / f"{figure.key}.png", figure.png)
        write_bytes(output / FIGURES / f"{figure.key}.pdf", figure.pdf)


def write_markdown(
    collection: Collection,
    findings: Sequence[Finding],
    tables: Sequence[Table],
    figures: Sequence[ReportFigure],
    output: Path,
    title: str,
) -> None:
    """Write `report.md`: the verdicts, the report's contents in a sentence, all tables and all figures."""
    parts = [f"# {markdown_text(title)}\n"]
    for finding in findings:
        words = [*finding.each, *finding.notes]
        parts.append(f"**{markdown_text(finding.model)}:** {markdown_text(finding.headline)}\n")
        parts += ["\n".join(f"* {markdown_text(sentence)}" for sentence in words) + "\n"] if words else []
    parts.append(contents(collection) + "\n")
    parts += [f"{to_markdown(t)}\n[CSV]({TABLES}/{t.key}.csv), [LaTeX]({TABLES}/{t.key}.tex)\n" for t in tables]
    for figure in figures:
        name = markdown_text(figure.title)
        parts.append(f"## {name}\n\n![{name}]({FIGURES}/{figure.key}.svg)\n\n{markdown_text(figure.caption)}\n")
    write_text(output / REPORT, "\n".join(parts))


def contents(collection: Collection) -> str:
    """How many runs, profiles and noise reports the report is made from, in a sentence or two."""
    runs = collection.runs
    models, tasks = {run.model for run in runs}, {run.task for run in runs}
    counts = [
        f"{plural(len(runs), 'finished run')} of {plural(len(models), 'model')} on {plural(len(tasks), 'task')}",
        plural(len(collection.profiles), "profile"),
        f"{plural(len(collection.noise), 'document')} of quantization noise",
    ]
    unfinished = len(collection.unfinished)
    left_out = f" {plural(unfinished, 'run')} not finished, and left out." if unfinished else ""
    return f"{', '.join(counts)}.{left_out}"
