"""Writes a report's files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from qharness.errors import QHarnessError
from qharness.evaluate.folder import write_atomically
from qharness.report.collection import Collection
from qharness.report.pictures import Picture
from qharness.report.showing import counted
from qharness.report.table import Table, markdown_text, to_csv, to_latex, to_markdown

REPORT, TABLES, FIGURES, PAGE = "report.md", "tables", "figures", "index.html"
_WRITERS = {".md": to_markdown, ".csv": to_csv, ".tex": to_latex}


def make_folder(output: Path) -> None:
    """The report's folder with empty folders of tables and figures, those of an earlier report gone.

    Raises QHarnessError for one that cannot be written, and for one that holds something else than a report.
    """
    if output.is_dir() and any(output.iterdir()) and not (output / REPORT).is_file():
        raise QHarnessError(f"--output {output} holds something else than a report: name a new folder")
    try:
        for name, suffixes in ((TABLES, _WRITERS), (FIGURES, (".svg", ".png"))):
            (output / name).mkdir(parents=True, exist_ok=True)
            for path in (output / name).iterdir():
                if path.suffix in suffixes:
                    path.unlink()
    except OSError as error:
        raise QHarnessError(f"--output {output} cannot be written: {error.strerror}") from None


def write_tables(tables: Sequence[Table], output: Path) -> None:
    """Each table in each format."""
    for table in tables:
        for suffix, writer in _WRITERS.items():
            write_atomically(output / TABLES / f"{table.key}{suffix}", writer(table))


def write_figures(pictures: Sequence[Picture], output: Path) -> None:
    """Each figure as SVG and PNG."""
    for picture in pictures:
        write_atomically(output / FIGURES / f"{picture.key}.svg", picture.svg)
        (output / FIGURES / f"{picture.key}.png").write_bytes(picture.png)


def write_markdown(
    collection: Collection, tables: Sequence[Table], pictures: Sequence[Picture], output: Path, title: str
) -> None:
    """`report.md`: what it is of, all tables and all figures."""
    parts = [f"# {markdown_text(title)}\n", summary(collection) + "\n"]
    parts += [f"{to_markdown(t)}\n[CSV]({TABLES}/{t.key}.csv), [LaTeX]({TABLES}/{t.key}.tex)\n" for t in tables]
    for each in pictures:
        name = markdown_text(each.title)
        parts.append(f"## {name}\n\n![{name}]({FIGURES}/{each.key}.svg)\n\n{markdown_text(each.caption)}\n")
    write_atomically(output / REPORT, "\n".join(parts))


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
