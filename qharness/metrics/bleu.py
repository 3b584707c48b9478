"""Smoothed BLEU-4, as CodeXGLUE's code-to-text evaluator computes it."""

from __future__ import annotations

import math
import re
import sys
from collections import Counter
from xml.sax.saxutils import unescape

_ORDER = 4
_TINY = sys.float_info.min  # so that no match has a logarithm; an empty candidate is left to the brevity penalty
_WORDS_AND_MARKS = re.compile(r"\w+|[^\s\w]")
# The tokenization of NIST's mteval: punctuation stands apart, except in numbers.
_SPLITS = (
    (re.compile(r"([{-~\[-` -&(-+:-@/])"), r" \1 "),
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)


def smoothed_bleu_4(reference: str, candidate: str) -> float:
    """BLEU-4 of one sentence against one reference, between 0 and 1; a corpus's score is the mean, in percent.

    One is added to the matches and to the totals of every order but the first (Lin and Och 2004, ORANGE); the brevity
    penalty, too, compares lengths with one added. Both texts are lower-cased and tokenized first.
    """
    wanted, given = _tokens(reference), _tokens(candidate)
    log_precision = 0.0
    for order in range(1, _ORDER + 1):
        grams = _ngrams(given, order)
        matches = sum((grams & _ngrams(wanted, order)).values())
        total = sum(grams.values())
        added = 0 if order == 1 else 1
        log_precision += math.log(matches + added + _TINY) - math.log(total + added + _TINY)
    penalty = min(0.0, 1 - (len(wanted) + 1) / (len(given) + 1))
    return math.exp(log_precision / _ORDER + penalty)


def _tokens(text: str) -> list[str]:
    spaced = " ".join(_WORDS_AND_MARKS.findall(text.strip().lower()))
    spaced = f" {unescape(spaced, {'&quot;': chr(34)})} ".lower()
    for pattern, replacement in _SPLITS:
        spaced = pattern.sub(replacement, spaced)
    return spaced.split()


def _ngrams(tokens: list[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + order]) for i in range(len(tokens) - order + 1))
