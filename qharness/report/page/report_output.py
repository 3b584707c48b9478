"""Writes a report's files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from qharness.errors import QHarnessError
from qharness.report.data.collection import Collection
from qharness.report.figures.pictures import Picture
from qharness.report.page.formatting import counted
from qharness.report.tables.table import Table, markdown_text, to_csv, to_latex, to_markdown
from qharness.storage.atomic_writer import write_bytes, write_text
from qharness.storage.whole_folder import entries, renewed_folder

REPORT, TABLES, FIGURES, PAGE = "report.md", "tables", "figures", "index.html"
_WRITERS = {".md": to_markdown, ".csv": to_csv, ".tex": to_latex}
_OURS = {*((TABLES, suffix) for suffix in _WRITERS), (FIGURES, ".svg"), (FIGURES, ".png")}


def make_folder(output: Path) -> AbstractContextManager[Path]:
    """A folder to write a report in, which takes the place of an earlier report in `output` when it is whole.

    Raises QHarnessError for one that holds something else than a report.
    """
    if output.exists() and not output.is_dir():
        raise QHarnessError(f"--output {output} cannot be written: it is no folder")
    if output.is_dir() and not (output / REPORT).is_file() and not _empty(output):
        raise QHarnessError(f"--output {output} holds something else than a report: name a new folder")
    return renewed_folder(output, lambda path: (path.parent.name, path.suffix) in _OURS)


def _empty(output: Path) -> bool:
    """Whether a folder holds no files, in folders of any depth, but those of processes that were killed."""
    return all(each.is_dir() and not each.is_symlink() and _empty(each) for each in entries(output))


def write_tables(tables: Sequence[Table], output: Path) -> None:
    """Each table in each format."""
    (output / TABLES).mkdir()
    for table in tables:
        for suffix, writer in _WRITERS.items():
            write_text(output / TABLES / f"{table.key}{suffix}", writer(table))


def write_figures(pictures: Sequence[Picture], output: Path) -> None:
    """Each figure as SVG and PNG."""
    (output / FIGURES).mkdir()
    for picture in pictures:
        write_text(output / FIGURES / f"{picture.key}.svg", picture.svg)
        write_bytes(output / FIGURES / f"{picture.key}.png", picture.png)


def write_markdown(
    collection: Collection, tables: Sequence[Table], pictures: Sequence[Picture], output: Path, title: str
) -> None:
    """`report.md`: what it is of, all tables and all figures."""
    parts = [f"# {markdown_text(title)}\n", summary(collection) + "\n"]
    parts += [f"{to_markdown(t)}\n[CSV]({TABLES}/{t.key}.csv), [LaTeX]({TABLES}/{t.key}.tex)\n" for t in tables]
    for each in pictures:
        name = markdown_text(each.title)
        parts.append(f"## {name}\n\n![{name}]({FIGURES}/{each.key}.svg)\n\n{markdown_text(each.caption)}\n")
    write_text(output / REPORT, "\n".join(parts))


def summary(collection: Collection) -> str:
    """How much was found, in a sentence or two."""
    entries = collection.entries
    models, tasks = {entry.model for entry in entries}, Counter(entry.task for entry in entries)
    counts = [
        f"{counted(len(entries), 'finished run')} of {counted(len(models), 'model')} on {counted(len(tasks), 'task')}",
        counted(len(collection.profiles), "profile"),
        f"{counted(len(collection.noise), 'document')} of quantization noise",
    ]
    unfinished = len(collection.unfinished)
    left_out = f" {counted(unfinished, 'run')} not finished, and left out." if unfinished else ""
    return f"{', '.join(counts)}.{left_out}"
