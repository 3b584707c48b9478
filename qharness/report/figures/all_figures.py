"""All figures that the runs at hand give."""

from __future__ import annotations

from collections.abc import Sequence

from qharness.figure_style import require_matplotlib
from qharness.noise.noise_figures import accumulated_noise, activation_maxima, weight_noise
from qharness.report.data.collection import Collection
from qharness.report.figures import bars, calibration_sizes, pareto, savings
from qharness.report.figures.pictures import Picture


def draw_figures(collection: Collection) -> list[Picture]:
    """Each figure of the report; raises MissingDependencyError where there is no matplotlib."""
    require_matplotlib()
    return [
        *savings.picture(collection),
        *pareto.pictures(collection),
        *calibration_sizes.pictures(collection),
        *bars.difficulty(collection),
        *bars.failures(collection),
        *noise(collection),
    ]


def noise(collection: Collection) -> Sequence[Picture]:
    """The three parts of Wei et al.'s figure 6; none where there are no noise documents."""
    if not collection.noise:
        return []
    of = ", ".join(sorted({str(document["model"]) for document in collection.noise}))
    after = f"{of}; noise is ||A - Q(A)||² / ||A||². After figure 6 of Wei et al. 2023."
    return [
        Picture("weight-noise", "Weight noise by the model's size", after, weight_noise(collection.noise)),
        Picture("activation-maxima", "Largest activations by layer", after, activation_maxima(collection.noise)),
        Picture("accumulated-noise", "Noise by depth", after, accumulated_noise(collection.noise)),
    ]
