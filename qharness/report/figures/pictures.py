"""A figure of a report, and what stands with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from qharness.figure_style import inline_svg, to_png, to_svg
from qharness.report.data.collection import Collection
from qharness.report.data.finished_runs import FinishedRun
from qharness.report.data.selection import grouped, unperturbed
from qharness.specs import RunSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure. `key` names its files; `caption` says what is drawn, with n and units."""

    key: str
    title: str
    caption: str
    figure: Figure

    @cached_property
    def svg(self) -> str:
        """As a file; text is text."""
        return to_svg(self.figure)

    @cached_property
    def png(self) -> bytes:
        """As a file, 150 dots an inch."""
        return to_png(self.figure)

    @property
    def inline(self) -> str:
        """As SVG within a page."""
        return inline_svg(self.svg, self.key, f"{self.title}. {self.caption}")


def slug(text: str) -> str:
    """Text as part of a file's name or of an id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def by_task(collection: Collection) -> dict[str, list[FinishedRun]]:
    """The runs on original prompts whose programs were run, by task; of those alike the largest, and one."""
    runs: dict[RunSpec, FinishedRun] = {}
    for entry in unperturbed(collection.largest):
        runs.setdefault(entry.spec, entry)
    groups = grouped(runs.values(), lambda entry: entry.task)
    return {group[0].task: group for group in groups}


def point_texts(collection: Collection, entries: Sequence[FinishedRun]) -> list[str]:
    """What stands beside points of one task's runs: the quantizer, and its calibration set where it has several."""
    sets: dict[str, set[str | None]] = {}
    for entry in entries:
        sets.setdefault(entry.quant, set()).add(entry.calib)
    labels = collection.labels
    return [labels.calibrated(e) if len(sets[e.quant]) > 1 else labels.quant(e) for e in entries]
