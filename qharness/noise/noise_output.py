"""Writes noise as files: the JSON document, a table of layers, and the three figures of Wei et al.'s figure 6."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

from qharness.errors import QHarnessError
from qharness.figure_style import require_matplotlib
from qharness.noise.noise_figures import draw
from qharness.results import LayerReport, NoiseReport
from qharness.results.measured import FiveNumbers
from qharness.storage.atomic_writer import write_text
from qharness.storage.json_codec import encode
from qharness.storage.json_values import json_safe, json_text
from qharness.storage.whole_folder import renewed_folder
from qharness.visible_text import csv_cell


def write_noise(reports: Sequence[NoiseReport], folder: Path) -> None:
    """`noise.json` (a list), `layers.csv` and the figures, as PNG and PDF; replaces files of these names.

    Raises MissingDependencyError where there is no matplotlib, QHarnessError for a folder that cannot be written.
    """
    check_output(folder)
    with renewed_folder(folder) as scratch:
        write_text(scratch / "noise.json", json_text(encode(reports), indent=2))
        write_text(scratch / "layers.csv", table(reports))
        draw(reports, scratch)


def check_output(folder: Path) -> None:
    """Raise before any work the errors that `write_noise` would raise after it. Writes nothing."""
    require_matplotlib()
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise QHarnessError(f"--output {folder} cannot be written: {there} is no folder, or not yours to write to")


def table(reports: Sequence[NoiseReport]) -> str:
    """A line a model, quantizer and layer, as CSV; undefined figures are empty."""
    parts = [(of, field.name) for of in ("tokens", "inputs") for field in fields(FiveNumbers)]
    header = ["model", "parameters", "quantizer", "name", "block", "depth"]
    header += ["weight_noise", "activation_noise", "accumulated_noise"]
    header += [f"activation_max_{of}_{part}" for of, part in parts]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for report in reports:
        for layer in report.layers:
            writer.writerow(
                [csv_cell(cell) if isinstance(cell, str) else json_safe(cell) for cell in _row(report, layer)]
            )
    return text.getvalue()


def _row(report: NoiseReport, layer: LayerReport) -> list[str | float | None]:
    row: list[str | float | None] = [report.model, report.parameters, report.quantizer]
    row += [layer.name, layer.block, layer.depth]
    row += [layer.weight_noise, layer.activation_noise, layer.accumulated_noise]
    for spread in (layer.activation_max.tokens, layer.activation_max.inputs):
        row += astuple(spread) if spread else [None] * len(fields(FiveNumbers))
    return row
