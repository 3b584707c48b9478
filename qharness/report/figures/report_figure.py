"""A figure of a report, with its title and caption."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from qharness.figure_style import inline_svg, to_pdf, to_png, to_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PHONE = 5.0  # inches


@dataclass(frozen=True, eq=False)
class ReportFigure:
    """A figure. `key` names its files; `caption` says what it shows, with n and units."""

    key: str
    title: str
    caption: str
    figure: Figure

    @cached_property
    def svg(self) -> str:
        """An SVG file, in which text is text."""
        return to_svg(self.figure)

    @cached_property
    def png(self) -> bytes:
        """A PNG file, 300 dots an inch."""
        return to_png(self.figure)

    @cached_property
    def pdf(self) -> bytes:
        """A PDF file."""
        return to_pdf(self.figure)

    @property
    def narrow(self) -> bool:
        """Whether a phone shows it whole."""
        return bool(self.figure.get_figwidth() <= _PHONE)

    @property
    def inline(self) -> str:
        """An SVG element for an HTML page."""
        return inline_svg(self.svg, self.key, f"{self.title}. {self.caption}")


def slug(text: str) -> str:
    """A text made part of a file's name or of an id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"
