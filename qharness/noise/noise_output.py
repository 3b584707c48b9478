"""Writes noise as files: the JSON document, a table of layers, and the three figures of Wei et al.'s figure 6."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qharness.errors import QHarnessError
from qharness.figure_style import require_matplotlib
from qharness.noise.noise_figures import draw
from qharness.noise.relative import SPREAD
from qharness.storage.atomic_writer import write_text
from qharness.storage.json_values import json_safe, json_text
from qharness.storage.whole_folder import renewed_folder
from qharness.visible_text import csv_cell

COLUMNS = ("weight_noise", "activation_noise", "accumulated_noise")


def write_noise(documents: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """`noise.json` (a list), `layers.csv` and the figures, as PNG and PDF. Replaces what is there under these names.

    Raises MissingDependencyError where there is no matplotlib, QHarnessError for a folder that cannot be written.
    """
    check_output(folder)
    with renewed_folder(folder) as scratch:
        write_text(scratch / "noise.json", json_text(list(documents), indent=2))
        write_text(scratch / "layers.csv", table(documents))
        draw(documents, scratch)


def check_output(folder: Path) -> None:
    """Raise, before any work is done, what `write_noise` would raise after it. Makes nothing."""
    require_matplotlib()
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise QHarnessError(f"--output {folder} cannot be written: {there} is no folder, or not yours to write to")


def table(documents: Sequence[Mapping[str, Any]]) -> str:
    """A line a model, quantizer and layer, as CSV; undefined figures are empty."""
    maxima = [(of, part) for of in ("tokens", "inputs") for part in SPREAD]
    header = ["model", "parameters", "quantizer", "name", "block", "depth", *COLUMNS]
    header += [f"activation_max_{of}_{part}" for of, part in maxima]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for row in _rows(documents, maxima):
        writer.writerow([csv_cell(value) if isinstance(value, str) else value for value in row])
    return text.getvalue()


def _rows(documents: Sequence[Mapping[str, Any]], maxima: Sequence[tuple[str, str]]) -> Iterator[list[Any]]:
    for document in documents:
        for layer in document["layers"]:
            figures = [json_safe(layer[column]) for column in COLUMNS]
            peaks = [(layer["activation_max"][of] or {}).get(part) for of, part in maxima]
            yield [
                *(document[key] for key in ("model", "parameters", "quantizer")),
                *(layer[key] for key in ("name", "block", "depth")),
                *figures,
                *peaks,
            ]
