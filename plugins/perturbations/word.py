"""Replaces words by WordNet synonyms, as NL-Augmenter's SynonymSubstitution does (Dhole et al. 2021)."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from qharness import CheckedOptions, option
from qharness.plugins.perturbations.tagging import WORD, Pos, rule_tags, trained_tags
from qharness.plugins.perturbations.wordnet import WordNet, load_wordnet

_TAGGERS = {"rules": rule_tags, "nltk": trained_tags}
_PLAIN = re.compile(r"[A-Za-z]+([ '-][A-Za-z]+)*")  # WordNet also has numbers and abbreviations


@dataclass(frozen=True)
class Word(CheckedOptions):
    """Words drawn at random to synonyms of the same part of speech, from WordNet."""

    name: ClassVar[str] = "word"

    p: float = option(0.5, "chance of a word that has synonyms to change", least=0.0, most=1.0)
    tagger: Literal["rules", "nltk"] = option(
        "rules", "finds parts of speech: rules, which need no data, or nltk, its averaged perceptron"
    )

    def __call__(self, text: str, rng: random.Random) -> str:
        """Replace each noun, verb, adjective or adverb that has synonyms with one of them, with chance p.

        A synonym is put in as the dictionary spells it, in lower case and not inflected, as NL-Augmenter does. The
        text between words stays.
        """
        wordnet = load_wordnet()
        words = list(WORD.finditer(text))
        parts, end = [], 0
        for word, tag in zip(words, _TAGGERS[self.tagger](text, wordnet), strict=True):
            parts.append(text[end : word.start()])
            found = synonyms(word[0], tag, wordnet)
            parts.append(rng.choice(found) if found and rng.random() < self.p else word[0])
            end = word.end()
        return "".join([*parts, text[end:]])


def synonyms(word: str, tag: Pos | None, wordnet: WordNet) -> list[str]:
    """Return the first word of each of a word's synsets but itself, the commonest sense first, with repeats."""
    if tag is None:
        return []
    firsts = (synset.replace("_", " ") for synset in wordnet.synsets(word, tag))
    return [first for first in firsts if first.lower() != word.lower() and _PLAIN.fullmatch(first)]
