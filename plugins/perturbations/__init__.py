"""Perturbations of a prompt's natural language: letters' case, synonyms, back-translation, and NL-Augmenter's."""

from __future__ import annotations

from qharness import Perturbation, hookimpl
from qharness.plugins.perturbations.char import Char
from qharness.plugins.perturbations.nlaugmenter import NlAugmenter
from qharness.plugins.perturbations.translation import BackTranslation
from qharness.plugins.perturbations.word import Word


@hookimpl
def qharness_perturbations() -> list[type[Perturbation]]:
    """Offer `char`, `word`, `back-translation` and `nlaugmenter`."""
    return [Char, Word, BackTranslation, NlAugmenter]
