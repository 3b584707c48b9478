"""Finds parts of speech of English words, by a few rules over WordNet's counts or by nltk's trained tagger."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from itertools import pairwise
from typing import Protocol

from qharness import MissingDependencyError

WORD = re.compile("[A-Za-z]+(?:['\u2019-][A-Za-z]+)*")


class Pos(StrEnum):
    """The parts of speech that have synonyms, as WordNet calls them."""

    NOUN = "n"
    VERB = "v"
    ADJECTIVE = "a"
    ADVERB = "r"


class Dictionary(Protocol):
    """The dictionary that the rules look words up in."""

    def counts(self, word: str) -> Mapping[Pos, int]:
        """Count the word in texts, by each part of speech that it can be."""
        ...

    def is_base(self, word: str, pos: Pos) -> bool:
        """Tell whether the word is not inflected."""
        ...


def _words(*lines: str) -> frozenset[str]:
    return frozenset(" ".join(lines).split())


_DETERMINERS = _words(
    "a an the this that these those each every any some no all both either neither another such its their our your my",
    "his her which what whose one two three four five six seven eight nine ten",
)
_PRONOUNS = _words("i you he she it we they who")
_TO_VERB = _words(
    "to can could may might must shall should will would do does did don't doesn't didn't cannot can't won't let let's",
    "please",
)
_TO_NOUN = _words("of in on at by for from with without into onto between within per via as than")
_BE = _words("is are was were be been being am isn't aren't wasn't weren't")
_OTHER = _words(
    "and or but nor if else unless until while when whenever where whereas whether because since so though although",
    "how why not me him us them itself themselves yourself whom there about above across after against along among",
    "around before behind below beneath beside besides beyond during except inside near off out outside over through",
    "throughout toward towards under up upon down has have had having etc more most",
)
CLOSED = _DETERMINERS | _PRONOUNS | _TO_VERB | _TO_NOUN | _BE | _OTHER
"""Words that are no noun, verb, adjective or adverb, or work as none: they have no synonyms."""


def rule_tags(text: str, dictionary: Dictionary) -> list[Pos | None]:
    """Return the part of speech of each WORD of a text; None for closed classes and unknown words.

    A word gets its most frequent part of speech, unless its neighbours say otherwise: after a determiner or a
    preposition it is no verb, after `to` or an auxiliary it is one, and an imperative opens a sentence. The rules are
    rough, and give the same on every machine.
    """
    words = list(WORD.finditer(text))
    starts = [True] + [bool(re.search(r"[.!?:;]\s", text[a.end() : b.start()])) for a, b in pairwise(words)]
    plain = [word[0].lower().replace("\u2019", "'") for word in words]
    following = [*plain[1:], ""]
    tags: list[Pos | None] = []
    for word, before, after, opens in zip(plain, ["", *plain], following, starts, strict=False):
        tags.append(None if word in CLOSED else _tag(word, "" if opens else before, after, dictionary))
    return tags


def _tag(word: str, before: str, after: str, dictionary: Dictionary) -> Pos | None:
    """Return one word's part of speech by the words around it; `before` is empty where a sentence begins."""
    counts = dict(dictionary.counts(word))
    if not counts:
        return None

    def most(*allowed: Pos) -> Pos:
        """Return the most frequent of these parts of speech, or of all if the word can be none of these."""
        left = {pos: count for pos, count in counts.items() if pos in allowed} or counts
        return max(left, key=lambda pos: left[pos])

    bare = Pos.VERB in counts and dictionary.is_base(word, Pos.VERB)
    if word.endswith("ly") and Pos.ADVERB in counts:
        return Pos.ADVERB
    if not before and Pos.VERB in counts and after not in _BE | _TO_VERB and (bare or word.endswith(("en", "ing"))):
        return Pos.VERB
    if before in _TO_VERB and bare:
        return Pos.VERB
    if before in _PRONOUNS:
        return most(Pos.VERB, Pos.ADVERB)
    if before in _DETERMINERS | _TO_NOUN:
        describes = after and after not in CLOSED and Pos.NOUN in dictionary.counts(after)
        if word.endswith(("ed", "en", "ing")) and Pos.VERB in counts and (describes or Pos.NOUN not in counts):
            return Pos.VERB
        return most(Pos.NOUN, Pos.ADJECTIVE) if describes else most(Pos.NOUN)
    if before in _BE:
        return most(Pos.ADJECTIVE, Pos.ADVERB, *([] if bare else [Pos.VERB]))
    return most(*Pos)


_TREEBANK = {"NN": Pos.NOUN, "NNS": Pos.NOUN, "JJ": Pos.ADJECTIVE, "RB": Pos.ADVERB, "VB": Pos.VERB}


def trained_tags(text: str, dictionary: Dictionary) -> list[Pos | None]:
    """Return the same by nltk's averaged perceptron, whose data must be there; None for names and auxiliaries too."""
    import nltk

    words = [word[0] for word in WORD.finditer(text)]
    try:
        found = nltk.pos_tag(words)
    except LookupError:
        install = "python -m nltk.downloader averaged_perceptron_tagger_eng, or use word's own tagger=rules"
        raise MissingDependencyError("nltk's averaged_perceptron_tagger_eng", install) from None
    tags = (_TREEBANK.get(tag) or _TREEBANK.get(tag[:2] if tag != "NNP" and tag != "NNPS" else "") for _, tag in found)
    return [None if word.lower() in CLOSED else tag for word, tag in zip(words, tags, strict=True)]
