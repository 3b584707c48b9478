"""All figures of a report."""

from __future__ import annotations

from collections.abc import Sequence

from qharness.figure_style import require_matplotlib
from qharness.noise.noise_figures import accumulated_noise, activation_maxima, weight_noise
from qharness.report.data.collection import Collection
from qharness.report.data.findings import Finding
from qharness.report.figures import bars, calibration_sizes, pareto, savings, verdict_figure
from qharness.report.figures.report_figure import ReportFigure


def draw_figures(collection: Collection, findings: Sequence[Finding] = ()) -> list[ReportFigure]:
    """The figures that the collection has runs for. Raises MissingDependencyError where there is no matplotlib."""
    require_matplotlib()
    return [
        *verdict_figure.figures(findings),
        *savings.figures(collection),
        *pareto.figures(collection),
        *calibration_sizes.figures(collection),
        *bars.difficulty(collection),
        *bars.failures(collection),
        *noise(collection),
    ]


def noise(collection: Collection) -> list[ReportFigure]:
    """The three parts of figure 6 of Wei et al. 2023; none where there are no noise reports."""
    reports = collection.noise
    if not reports:
        return []
    models = ", ".join(sorted({report.model for report in reports}))
    caption = f"{models}; noise is ||A - Q(A)||² / ||A||². After figure 6 of Wei et al. 2023."
    return [
        ReportFigure("weight-noise", "Weight noise by the model's size", caption, weight_noise(reports)),
        ReportFigure("activation-maxima", "Largest activations by layer", caption, activation_maxima(reports)),
        ReportFigure("accumulated-noise", "Noise by depth", caption, accumulated_noise(reports)),
    ]
